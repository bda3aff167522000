"What was lost or changed without a word"
import json, os, random
from _case import case

# A split by count

SUMS = [f'{a} + {b} = {a+b}.' for a in range(12, 52) for b in range(13, 33)]

def jsonl(texts): return '\n'.join(json.dumps(dict(text=t)) for t in texts)

def shares(lab, texts, **keys):
    "Are validation documents whole, are the sides disjoint, and how large is validation in bytes"
    train,valid = (lab.documents(s, **keys) for s in ('train','valid'))
    whole = 'whole' if set(valid)<=set(texts) else 'cut'
    apart = 'apart' if not set(train)&set(valid) else 'shared'
    part = sum(map(len, valid))/max(1, sum(map(len, train+valid)))
    return whole,apart,'a small part' if 0<part<=.15 else f'{part:.0%}'

@case('800 JSON lines like `12 + 13 = 25.`', ('whole', 'apart', 'a small part'))
def many_short_documents(lab):
    lab.write('a.jsonl', jsonl(SUMS))
    return shares(lab, SUMS, **{'data.train': ['a.jsonl']})

@case('the same 800 as a text file with a separator', ('whole', 'apart', 'a small part'))
def many_short_separated(lab):
    lab.write('a.txt', '\n\n'.join(SUMS))
    return shares(lab, SUMS, **{'data.train': ['a.txt'], 'data.separator': '\n\n'})

@case('60 short files', ('whole', 'apart', 'a small part'))
def sixty_files(lab):
    for i,t in enumerate(SUMS[::13][:60]): lab.write(f'text/{i}.txt', t)
    return shares(lab, SUMS)

@case('1,500 short documents and one that is longer than all of them', ('apart', 'a small part'))
def one_giant(lab):
    texts = [f'Number {i} of the small ones.' for i in range(1500)]
    for giant in range(8):   # whatever the hash of it
        lab.write('a.jsonl', jsonl([*texts, f'{giant} '+'word and more '*40_000]))
        seen = shares(lab, texts, **{'data.train': ['a.jsonl']})[1:]
        if seen!=('apart', 'a small part'): return seen
    return seen

@case('three long documents: there is something to validate on, and most is left to train on', 'a small part')
def few_long_documents(lab):
    for i in range(3): lab.write(f'text/{i}.txt', '\n'.join(f'Line {j} of book {i}.' for j in range(2000)))
    return shares(lab, [])[2]

@case('one single document', 'a small part')
def one_document(lab):
    lab.write('text/a.txt', '\n'.join(f'Line {j} of the only book.' for j in range(2000)))
    return shares(lab, [])[2]

@case('the old rule set explicitly: the end of each document, as it was', True)
def old_split(lab):
    from pretrain.data.split import tail_cut
    lab.write('a.jsonl', jsonl(SUMS))
    valid = lab.documents('valid', **{'data.train': ['a.jsonl'], 'data.split_min_docs': 1000})
    return valid==[t[tail_cut(t, .05):] for t in SUMS if t[tail_cut(t, .05):]]

# A user's files

@case('`exp1/config.toml` with `out = "exp1"`', ('refused', 'as it was'))
def config_in_out(lab):
    lab.texts()
    lab.write('exp1/config.toml', '# mine\ninclude = "../tiny.toml"\nout = "exp1"\n')
    before = lab.tree('exp1')
    d = lab.main('train', 'exp1/config.toml')
    return 'refused' if d.code==2 else d.text, 'as it was' if lab.tree('exp1')==before else 'changed'

def into_foreign(lab, out, files):
    lab.texts()
    for f in files: lab.write(f, f'mine: {f}')
    before = lab.tree()
    d = lab.train(f'out={out}')
    after = {k: v for k,v in lab.tree().items() if not k.startswith('cache/')}
    return 'refused' if d.code==2 else f'exit {d.code}', 'as it was' if after==before else 'changed'

@case('`out=.` in a project with a `tokenizer/` of its own', ('refused', 'as it was'))
def out_is_here(lab): return into_foreign(lab, '.', ['tokenizer/tokenizer.json', 'samples.jsonl'])

@case('`out` is a folder with somebody\'s `samples.jsonl`', ('refused', 'as it was'))
def out_with_samples(lab): return into_foreign(lab, 'mine', ['mine/samples.jsonl'])

@case('`out` is a folder with somebody\'s `metrics.jsonl`', ('refused', 'as it was'))
def out_with_metrics(lab): return into_foreign(lab, 'mine', ['mine/metrics.jsonl'])

@case('`out` is a folder with somebody\'s notes', ('refused', 'as it was'))
def out_with_notes(lab): return into_foreign(lab, 'mine', ['mine/notes.txt'])

@case('`out` is a folder with somebody\'s `report/index.html`', ('refused', 'as it was'))
def out_with_report(lab): return into_foreign(lab, 'mine', ['mine/report/index.html'])

@case('`out` is a file', ('refused', 'as it was'))
def out_is_a_file(lab): return into_foreign(lab, 'mine', ['mine'])

@case('`out` is an empty folder', 'trains')
def out_is_empty(lab):
    lab.texts()
    (lab.dir/'run').mkdir()
    return 'trains' if lab.train().code==0 else 'refused'

def only_looks(lab, *args):
    "What a command changes in a run"
    lab.texts()
    assert lab.train('train.save_every=2').code==0
    lab.write('run/config.toml', (lab.dir/'run/config.toml').read_bytes()+b'# a note of mine\n')
    with open(lab.dir/'run/metrics.jsonl', 'a') as f: f.write('{"step": 5, "loss": 1.0}\n')
    before = lab.tree('run')
    d = lab.main(*args)
    after = lab.tree('run')
    return f'exit {d.code}', 'nothing' if after==before else [k for k in before|after if before.get(k)!=after.get(k)]

@case('`check` on a run that has records beyond its checkpoint, and a note in its config', ('exit 0', 'nothing'))
def check_changes_nothing(lab): return only_looks(lab, 'check', 'run/config.toml')

@case('`eval` on the same', ('exit 0', 'nothing'))
def eval_changes_nothing(lab): return only_looks(lab, 'eval', 'run')

@case('`sample` on the same', ('exit 0', 'nothing'))
def sample_changes_nothing(lab): return only_looks(lab, 'sample', 'run')

@case('`config` on the same', ('exit 0', 'nothing'))
def config_changes_nothing(lab): return only_looks(lab, 'config', 'run/config.toml')

# White space in values

def n_documents(lab, arg, text):
    lab.write('a.txt', text)
    d = lab.main('prepare', 'tiny.toml', 'data.train=a.txt', 'data.valid=v.txt', arg)
    line = next((l for l in d.out.splitlines() if l.startswith('train') and 'document' in l), d.text)
    return int(line.split(' document')[0].split()[-1].replace(',', ''))

FORTY = [f'Document {i} is here.' for i in range(40)]

def separated(lab, arg, sep):
    lab.write('v.txt', 'Other words.')
    return n_documents(lab, arg, sep.join(FORTY))

@case('`data.separator="\\n\\n"` typed in a shell', 40)
def separator_in_double_quotes(lab): return separated(lab, r'data.separator=\n\n', '\n\n')

@case('`\'data.separator="\\n\\n"\'` typed in a shell', 40)
def separator_in_both_quotes(lab): return separated(lab, r'data.separator="\n\n"', '\n\n')

@case('`data.separator=$\'\\n\\n\'` typed in a shell', 40)
def separator_real(lab): return separated(lab, 'data.separator=\n\n', '\n\n')

@case('`data.separator=\\t`', 40)
def separator_tab(lab): return separated(lab, r'data.separator=\t', '\t')

@case('`data.separator=$\'\\t\'`', 40)
def separator_real_tab(lab): return separated(lab, 'data.separator=\t', '\t')

@case('`data.separator="  "`, two spaces', 40)
def separator_spaces(lab): return separated(lab, 'data.separator=  ', '  ')

@case('`data.separator=" --- "`', 40)
def separator_with_margins(lab): return separated(lab, 'data.separator= --- ', ' --- ')

@case('a prompt that ends in a space', ('The ',))
def prompt_ends_in_space(lab):
    from pretrain.build import load_config
    return load_config('tiny.toml', ['sample.prompts=The ']).sample.prompts

@case('two prompts that end in a space', ('The ', 'A '))
def prompts_end_in_space(lab):
    from pretrain.build import load_config
    return load_config('tiny.toml', ['sample.prompts=["The ", "A "]']).sample.prompts

# Separators, keys, markers that never occur

def never(lab, *args, word):
    d = lab.main('prepare', 'tiny.toml', *args)
    return 'said' if d.code==0 and d.says(word) else f'exit {d.code}, said {d.text[-200:]!r}'

@case('a separator of `\\n\\n` and files with CRLF', 'said')
def separator_in_crlf(lab):
    lab.write('a.txt', '\r\n\r\n'.join(FORTY))
    lab.write('v.txt', 'Other words.')
    return never(lab, 'data.train=a.txt', 'data.valid=v.txt', r'data.separator=\n\n', word='separator')

@case('a marker that is spelt otherwise in the files', 'said')
def wrong_marker(lab):
    lab.write('a.txt', '<|endoftext|>'.join(FORTY))
    return never(lab, 'data.train=a.txt', 'data.separator=<|end|>', word='separator')

@case('a `text_key` for a corpus of `.txt` only', 'said')
def key_without_json(lab):
    lab.texts()
    return never(lab, 'data.text_key=content', word='text_key')

@case('a separator for a corpus of `.jsonl` only', 'said')
def separator_without_text(lab):
    lab.write('a.jsonl', jsonl(SUMS))
    return never(lab, 'data.train=a.jsonl', 'data.separator=---', word='separator')

@case('a separator that does occur', 'nothing said')
def separator_occurs(lab):
    lab.write('a.txt', '---'.join(FORTY))
    d = lab.main('prepare', 'tiny.toml', 'data.train=a.txt', 'data.separator=---')
    return 'nothing said' if d.code==0 and not d.says('separator') else d.text

# Kinds left out

@case('a folder of one `.txt` and eight others: what is left out is said, by kind', True)
def kinds_left_out(lab):
    lab.write('text/a.txt', '\n'.join(f'Line {i} of the one text.' for i in range(500)))
    for i in range(5): lab.write(f'text/{i}.rst', 'a,b')
    for i in range(3): lab.write(f'text/{i}.html', '<p>')
    d = lab.train()
    return d.code==0 and any('5 .rst' in l and '3 .html' in l for l in d.text.splitlines())

@case('a pattern that also matches others', True)
def kinds_left_out_of_glob(lab):
    lab.texts(n=8)
    for i in range(5): lab.write(f'text/{i}.rst', 'a,b')
    d = lab.train('data.train=text/*')
    return d.code==0 and any('5 .rst' in l for l in d.text.splitlines())

@case('what was left out is said again when the tokens come from the cache', True)
def kinds_left_out_again(lab):
    lab.texts()
    lab.write('text/a.rst', 'a,b')
    lab.train('out=first')
    return any('1 .rst' in l for l in lab.train('out=second').text.splitlines())

# Stale tokens

def replaced(lab, how):
    lab.texts(n=20)
    path = lab.dir/'text/000.txt'
    def total(): return lab.main('prepare', 'tiny.toml').code, lab.tree('cache')
    os.utime(path, ns=(10**18, 10**18))
    old,stat = path.read_bytes(),path.stat()
    first = total()
    how(path, old[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    tokens = [{k for k in t[1] if k.endswith('.bin')} for t in (first, total())]
    return 'noticed' if tokens[0]!=tokens[1] else 'not noticed'

@case('a file written over by another of the same size, its time put back', 'noticed')
def same_size_and_time(lab): return replaced(lab, lambda path, text: path.write_bytes(text))

@case('a file replaced by another of the same size and time', 'noticed')
def replaced_by_rename(lab):
    def rename(path, text):
        path.with_suffix('.new').write_bytes(text)
        os.rename(path.with_suffix('.new'), path)
    return replaced(lab, rename)

# Text that is none

def encoded(lab, raw):
    lab.texts()
    lab.write('text/zz.txt', raw)
    d = lab.main('prepare', 'tiny.toml')
    return d.answer(), 'names the file' if 'zz.txt' in d.err else d.text[-200:]

REFUSED = ('exit 2, 1 line', 'names the file')

@case('a file in UTF-16 without a mark', REFUSED)
def utf16_without_mark(lab): return encoded(lab, 'Words that a Windows program wrote.\n'.encode('utf-16-le')*20)

@case('a file in UTF-16, the other way round', REFUSED)
def utf16_big_endian(lab): return encoded(lab, 'Words that a program wrote.\n'.encode('utf-16-be')*20)

@case('a file in UTF-32 without a mark', REFUSED)
def utf32_without_mark(lab): return encoded(lab, 'Words that a program wrote.\n'.encode('utf-32-le')*20)

@case('a file padded with NULs', REFUSED)
def nul_padding(lab): return encoded(lab, b'Words, and then nothing.\n'*20+b'\0'*4096)

@case('one bad byte in a file of 1 MB, `data.on_error=replace`: all else stays, and the byte is counted', (True, True))
def one_bad_byte(lab):
    text = ''.join(f'Line {i} of a long file.\n' for i in range(40_000)).encode()
    lab.write('a.txt', text[:500_000]+b'\xff'+text[500_000:])
    lab.write('v.txt', 'Other words.')
    d = lab.main('prepare', 'tiny.toml', 'data.train=a.txt', 'data.valid=v.txt', 'data.on_error=replace')
    docs = lab.documents('train', **{'data.train': ['a.txt'], 'data.valid': ['v.txt'], 'data.on_error': 'replace'})
    return len(''.join(docs))>=len(text), d.code==0 and d.says('1 byte')

# Training text that is validation text

def overlapping(lab, valid):
    lab.texts()
    lab.write('v.txt', valid((lab.dir/'text/003.txt').read_bytes()))
    d = lab.train('data.valid=v.txt')
    said = d.text.lower()
    return any(w in said for w in ('both', 'overlap', 'copied', 'also in', 'training text', 'same text', 'left out'))

@case('the validation file is a copy of a training file: said at the start', True)
def copied_validation(lab): return overlapping(lab, lambda raw: raw)

@case('the same with CRLF', True)
def copied_with_crlf(lab): return overlapping(lab, lambda raw: raw.replace(b'\n', b'\r\n'))

@case('the same without the last line end', True)
def copied_without_end(lab): return overlapping(lab, lambda raw: raw.rstrip())

@case('1,200 long forms that differ only at their ends are no copies of each other', 'exit 0')
def long_forms(lab):
    form = 'This form is to be filled in by whoever asks for it. '*60
    lab.write('a.jsonl', jsonl([f'{form}{i}' for i in range(1200)]))
    d = lab.train('data.train=a.jsonl', 'train.steps=2')
    return f'exit {d.code}' if not d.code else d.err[-300:]

# Validation reads the head

@case('three sources of digits, English, Chinese: a part of the validation text holds some of each', 3)
def spread_validation(lab):
    rng = random.Random(0)
    kinds = [lambda: ' '.join(str(rng.randrange(10**6)) for _ in range(20)),
             lambda: ' '.join(rng.choices('the sea house reads old letters of a new number'.split(), k=25)),
             lambda: ''.join(rng.choices('天地玄黄宇宙洪荒日月盈昃辰宿列张', k=50))]
    for name,kind in zip('abc', kinds): lab.write(f'v/{name}.jsonl', jsonl([kind() for _ in range(100)]))
    lab.texts()
    keys = {'data.valid': ['v'], 'eval.bytes': 3000, 'preflight.at_start': False}
    run = lab.run(**keys)
    seen = []
    loss = run.loss_fn
    run.loss_fn = lambda x, y, reduction='sum': (seen.append(x), loss(x, y, reduction=reduction))[1]
    run.validate()
    ids = [i for x in seen for row in x.tolist() for i in row if i!=run.tok.bos]
    text = run.tok.decode_bytes(ids).decode(errors='ignore')
    return any(c.isdigit() for c in text)+('the' in text)+any(c in '天地玄黄宇宙洪荒' for c in text)

@case('the part of the validation text that is read is said', True)
def part_is_said(lab):
    lab.texts()
    lab.texts('v', n=40, seed=1)
    d = lab.train('data.valid=v', 'eval.bytes=500')
    n = next(r['val_bytes'] for r in lab.log() if 'val_bytes' in r)
    return n<=1500 and any(l.startswith('validation:') and ' of 40 documents' in l for l in d.text.splitlines())

@case('`tokenizer.path` beside another `tokenizer.vocab_size`', (0, True))
def size_beside_path(lab):
    lab.texts()
    lab.main('tokenizer', 'tiny.toml', '--save', 'mine')
    d = lab.train('tokenizer.path=mine', 'tokenizer.vocab_size=999')
    return d.code, d.says('tokenizer.vocab_size does not act')
