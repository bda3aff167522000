"""Edits of a corpus between two starts of a run: each is noticed, and the file is named; what leaves the text as it was
is no edit. In tests/, since it takes a run that stopped, and the command line.

`python tests/test_edits.py` prints what each edit is answered with."""
import gzip, json, os, shutil, sys
from dataclasses import dataclass
from pathlib import Path
import pytest
sys.path.insert(0, str(Path(__file__).resolve().parent))
from strangers._case import Lab

GIVEN = ['tokenizer.path=tok', 'data.valid=valid.txt']  # so that it is the text that is compared first
LONGER = 'train.steps=5'

def texts(lab):
    "Six files of training text, one for validation"
    def line(i): return json.dumps(dict(text=f'The {i}th of many lines, for the {i%7}th time.', body=f'Body {i}.'))+'\n'
    for k,name in enumerate('ab'): lab.write(f'text/{name}.jsonl', ''.join(line(100*k+i) for i in range(40)))
    for k,name in enumerate('cdef'): lab.write(f'text/{name}.txt', f'A text that is called {name}.\n'*(20+k))
    lab.write('valid.txt', 'A text that is held back.\nIt is read, too.\n'*20)

# ------------------------------------------------------------ the edits

def other(path, fn):
    "Change the content of a file"
    path.write_bytes(fn(path.read_bytes()))

def hidden_flip(path):
    "One byte, with size and time of before"
    was = path.stat()
    other(path, lambda b: b.replace(b'7th', b'8th', 1))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

def swap(a, b):
    one,two = a.read_bytes(),b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)

def link(path, fn=lambda b: b):
    "A link to a file elsewhere, in place of a file"
    away = path.parents[1]/'away'
    away.write_bytes(fn(path.read_bytes()))
    path.unlink()
    path.symlink_to(away)

def into(path, folder):
    folder.mkdir()
    path.rename(folder/path.name)

def squeeze(path):
    path.with_name(path.name+'.gz').write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()

def dangle(path):
    path.unlink()
    path.symlink_to('nowhere')

def several(text):
    for o in sorted(text.iterdir())[:5]: other(o, lambda b: b+b'\n')

@dataclass(frozen=True)
class Edit:
    "What somebody does between two starts"
    do:object         # Function of the folder `text`
    says:tuple        # What the answer has in it
    args:tuple = ()   # More words of the command
    goes_on:bool = False # Is it the same text?

EDITS = {
    'a line appended': Edit(lambda t: other(t/'b.jsonl', lambda b: b+b'{"text": "A"}\n'),
                            ('text/b.jsonl was changed',)),
    'a byte, size and time as before': Edit(lambda t: hidden_flip(t/'b.jsonl'), ('text/b.jsonl was changed',)),
    'two lines exchanged': Edit(lambda t: other(t/'a.jsonl', lambda b: b''.join(reversed(b.splitlines(True)))),
                                ('text/a.jsonl was changed',)),
    'truncated': Edit(lambda t: other(t/'c.txt', lambda b: b[:-9]), ('text/c.txt was changed',)),
    'emptied but for a letter': Edit(lambda t: (t/'c.txt').write_text('A'), ('text/c.txt was changed',)),
    'line ends of Windows': Edit(lambda t: other(t/'d.txt', lambda b: b.replace(b'\n', b'\r\n')),
                                 ('text/d.txt was changed',)),
    'a byte order mark': Edit(lambda t: other(t/'d.txt', lambda b: b'\xef\xbb\xbf'+b), ('text/d.txt was changed',)),
    'the last line end gone': Edit(lambda t: other(t/'d.txt', lambda b: b[:-1]), ('text/d.txt was changed',)),
    'removed': Edit(lambda t: (t/'d.txt').unlink(), ('text/d.txt is gone',)),
    'added': Edit(lambda t: (t/'g.txt').write_text('A new one.'), ('text/g.txt is new',)),
    'a copy added': Edit(lambda t: shutil.copy(t/'d.txt', t/'g.txt'), ('text/g.txt is new, a copy of text/d.txt',)),
    'contents swapped': Edit(lambda t: swap(t/'c.txt', t/'f.txt'),
                             ('text/c.txt was changed, it holds what was in text/f.txt',)),
    'a link to something else': Edit(lambda t: link(t/'e.txt', lambda b: b+b'!'), ('text/e.txt was changed',)),
    'renamed, to the end': Edit(lambda t: (t/'c.txt').rename(t/'z.txt'), ('text/c.txt is now called text/z.txt',)),
    'another case': Edit(lambda t: (t/'c.txt').rename(t/'C.txt'), ('text/c.txt is now called text/C.txt',)),
    'into a folder': Edit(lambda t: into(t/'c.txt', t/'more'), ('text/c.txt is now called text/more/c.txt',)),
    'compressed': Edit(lambda t: squeeze(t/'b.jsonl'), ('text/b.jsonl is gone',)),
    'a link to nothing': Edit(lambda t: dangle(t/'c.txt'), ('text/c.txt: cannot be read',)),
    'five files at once': Edit(several, ('text/a.jsonl was changed', 'and 2 more edits')),
    'another key': Edit(lambda t: None, ("data.text_key = 'text' before, 'body' now",), ('data.text_key=body',)),
    'the validation file': Edit(lambda t: other(t.parent/'valid.txt', lambda b: b+b'!'), ('valid.txt was changed',)),
    'renamed in its place': Edit(lambda t: (t/'c.txt').rename(t/'cc.txt'),
                                 ('text/c.txt is now called text/cc.txt; the text is the same',), goes_on=True),
    'touched': Edit(lambda t: (t/'c.txt').touch(), (), goes_on=True),
    'written again': Edit(lambda t: other(t/'c.txt', lambda b: b), (), goes_on=True),
    'a link to the same': Edit(lambda t: link(t/'c.txt'), (), goes_on=True),
    'a hidden file': Edit(lambda t: (t/'.notes.txt').write_text('Not to be read.'), (), goes_on=True),
    'moved as a whole': Edit(lambda t: t.rename(t.parent/'moved'), (), ('data.train=moved',), goes_on=True),
    'an edit undone': Edit(lambda t: [other(t/'c.txt', fn) for fn in (lambda b: b+b'!', lambda b: b[:-1])], (),
                           goes_on=True),
}

# ------------------------------------------------------------ the run that stopped

def begin(dir):
    "A run of four steps over six files"
    lab = Lab(dir)
    texts(lab)
    os.chdir(dir)
    lab.fit(**{'data.valid': ('valid.txt',), 'out': 'first'}).tok.save('tok')
    done = lab.train(*GIVEN)
    assert done.code==0, done.text
    return lab

@pytest.fixture(scope='module')
def stopped(tmp_path_factory):
    here = os.getcwd()
    yield begin(tmp_path_factory.mktemp('edits'))
    os.chdir(here)

def edited(stopped, dir, edit):
    "The answer to a start after an edit, in a copy of everything"
    shutil.copytree(stopped.dir, dir, symlinks=True, copy_function=shutil.copy2)
    os.chdir(dir)
    edit.do(dir/'text')
    return Lab(dir).train(*GIVEN, *edit.args, LONGER)

def wrong(done, edit):
    "What is wrong with an answer; empty where nothing is"
    if edit.goes_on:
        loud = 'changed: data', 'changed: train was', 'not as they were'
        silent = edit.says or not any(k in done.text for k in loud)
        return [] if done.code==0 and done.says(*edit.says) and silent and 'resume:' in done.text else [done.text]
    one_line = done.code!=0 and done.err.count('\n')==1 and 'Traceback' not in done.err
    encoded = 'encoding with' in done.text   # it is refused first
    return [] if one_line and all(o in done.err for o in edit.says) and not encoded else [done.code, done.text]

@pytest.mark.parametrize('name', EDITS)
def test_an_edit_is_noticed_and_its_file_named(name, stopped, tmp_path):
    assert wrong(edited(stopped, tmp_path/'x', EDITS[name]), EDITS[name])==[]

@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid()==0, reason='root may read everything')
def test_a_file_that_may_not_be_read_is_named(stopped, tmp_path):
    edit = Edit(lambda t: (t/'c.txt').chmod(0), ('text/c.txt: cannot be read',))
    assert wrong(edited(stopped, tmp_path/'x', edit), edit)==[]

def test_an_edit_under_way_is_noticed_at_the_next_start(stopped, tmp_path):
    "The run itself reads tokens, which nobody edits, and ends as it would have"
    shutil.copytree(stopped.dir, tmp_path/'x')
    os.chdir(tmp_path/'x')
    lab,keys = Lab(tmp_path/'x'),{'data.valid': ('valid.txt',), 'tokenizer.path': 'tok'}
    run = lab.run(out='run', **keys, **{'train.steps': 6})
    run.step()
    other(Path('text/c.txt'), lambda b: b+b'!')
    run.save()
    run.close()
    done = lab.train(*GIVEN, 'train.steps=6')
    assert done.code and 'text/c.txt was changed' in done.err and 'train was' in done.err

def test_a_tokenizer_that_was_learned_says_why_too(stopped, tmp_path):
    shutil.copytree(stopped.dir, tmp_path/'x')
    os.chdir(tmp_path/'x')
    other(Path('text/c.txt'), lambda b: b+b'Quite another text. '*90)
    done = Lab(tmp_path/'x').train('data.valid=valid.txt', 'out=first', LONGER)
    assert done.code and 'tokenizer was' in done.err and 'text/c.txt was changed' in done.err

def test_leave_is_told_with_the_file_and_prepare_says_it(stopped, tmp_path):
    shutil.copytree(stopped.dir, tmp_path/'x')
    os.chdir(tmp_path/'x')
    lab = Lab(tmp_path/'x')
    lab.train(*GIVEN, 'out=here', 'train.steps=1')
    other(Path('text/c.txt'), lambda b: b+b'!')
    done = lab.train(*GIVEN, 'train.allow=train', LONGER)
    assert done.code==0 and 'train tokens: not as they were: text/c.txt was changed' in done.text
    assert 'changed: train was' in done.text and ': text/c.txt was changed' in done.text
    (change,) = [r['changed'] for r in lab.log() if 'changed' in r]
    assert set(change)=={'train', 'train.steps'}

def test_another_corpus_begins_with_its_first_row_and_one_that_returns_where_it_was_left(stopped, tmp_path):
    shutil.copytree(stopped.dir, tmp_path/'x')
    os.chdir(tmp_path/'x')
    lab = Lab(tmp_path/'x')
    for k in range(9): lab.write(f'more/{k}.txt', f'Text number {k} of another corpus, which is better.\n'*20)
    for steps,text in ((2,'text'), (4,'more'), (5,'more'), (6,'text')):   # the third goes on within a stage
        done = lab.train(*GIVEN, 'out=stages', f'train.steps={steps}', f'data.train={text}', 'train.allow=train')
        assert done.code==0, done.err
        assert ('which begins with its first row' in done.text)==(steps in (4,6)), done.text
    rows = [r['row'] for r in lab.log('stages') if 'row' in r]
    assert rows==[rows[1]*k for k in (0, 1, 0, 1, 2, 2)], rows   # it was 0 to 5
    with lab.run(out='stages', **{'data.train': ('text',), 'data.valid': ('valid.txt',), 'train.steps': 9}) as run:
        assert run.opt.earlier==run.state.earlier/run.data.per_step>0   # for optim.repeat_decay

def test_under_other_weights_each_source_goes_on_where_it_was(stopped, tmp_path):
    shutil.copytree(stopped.dir, tmp_path/'x')
    os.chdir(tmp_path/'x')
    lab = Lab(tmp_path/'x')
    for k in range(9): lab.write(f'more/{k}.txt', f'Text number {k} of another corpus, which is better.\n'*20)
    for steps,a,b in ((2,3,1), (4,1,3)):
        mixed = f'data.train=[{{path="text", weight={a}}}, {{path="more", weight={b}}}]'
        done = lab.train(*GIVEN, 'out=mixed', f'train.steps={steps}', mixed, 'train.allow=train')
        assert done.code==0, done.err
    state = json.loads((sorted(Path('mixed/checkpoints').iterdir())[-1]/'state.json').read_text())
    B = state['row']//2
    assert (state['step'], state['epoch'])==(4, [0, -2*B*3//4, 0, -2*B//4]), state['epoch']   # it was [0,0, 0,0]

if __name__=='__main__':
    import tempfile
    with tempfile.TemporaryDirectory() as d:
        lab = begin(Path(d)/'begun') if (Path(d)/'begun').mkdir() is None else None
        for i,(name,edit) in enumerate(EDITS.items()):
            done = edited(lab, Path(d)/f'{i}', edit)
            seen = done.err.strip() or next((l for l in done.out.splitlines() if 'changed: data' in l), 'goes on')
            print(f'{"ok" if not wrong(done, edit) else "WRONG":<6}{name:<34}{seen}')
        os.chdir('/')
