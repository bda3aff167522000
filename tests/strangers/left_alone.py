"Where a user was left alone: with a hang, a folder named ~, an error for ever, a slow start"
import json, os, time
from pathlib import Path
from _case import case

# The run directory inside the training text

def twice(lab, *args):
    "Two starts of a run, the second longer"
    codes = [lab.train('train.steps=4', *args), lab.train('train.steps=6', *args)]
    return [f'exit {d.code}' if d.code==0 else d.text[-300:] for d in codes]

TWICE = ['exit 0', 'exit 0']

@case('`data.train=.` with the run directory and the cache in it, started twice', TWICE)
def train_on_here(lab):
    lab.texts()
    return twice(lab, 'data.train=.')

@case('`out` inside the folder of texts, started twice', TWICE)
def out_in_texts(lab):
    lab.texts()
    return twice(lab, 'out=text/run')

@case('a pattern that also matches files of the run directory, started twice', TWICE)
def pattern_over_run(lab):
    lab.texts()
    lab.write('text/more.jsonl', json.dumps(dict(text='One more document.')))
    return twice(lab, 'data.train=text/**/*', 'out=text/run')

@case('the cache inside the folder of texts, started twice', TWICE)
def cache_in_texts(lab):
    lab.texts()
    return twice(lab, 'prepare.cache=text/cache')

@case('another run\'s directory among the texts is no text', 60)
def other_run_in_texts(lab):
    lab.texts()
    lab.write('v.txt', 'Other words.')
    assert lab.train('out=text/other').code==0
    return len(lab.documents('train', **{'data.valid': ['v.txt']}))

# What is no file

def waits(lab, *args):
    "Does a command end by itself, instead of waiting for somebody"
    d = lab.command('prepare', 'tiny.toml', *args, timeout=120)
    if d.code: return 'hangs' if d.code==124 else d.answer()
    return f'exit 0, fifo {"said" if d.says("fifo") or d.says("pipe") else "not said"}'

@case('a FIFO in a folder of texts', 'exit 0, fifo said')
def fifo_in_folder(lab):
    lab.texts()
    os.mkfifo(lab.dir/'text/zz.txt')
    return waits(lab)

@case('a FIFO as the training text', 'exit 2, 1 line', full=True)
def fifo_as_text(lab):
    os.mkfifo(lab.dir/'a.txt')
    return waits(lab, 'data.train=a.txt')

@case('a device behind a link named `.txt`', 'exit 2, 1 line', full=True)
def device_as_text(lab):
    os.symlink('/dev/zero', lab.dir/'a.txt')
    return waits(lab, 'data.train=a.txt')

@case('a FIFO as the config', 'exit 2, 1 line', full=True)
def fifo_as_config(lab):
    os.mkfifo(lab.dir/'c.toml')
    d = lab.command('config', 'c.toml', timeout=20)
    return 'hangs' if d.code==124 else d.answer()

# The home folder

def at_home(lab, *args):
    "What a command with `~` makes where it stands, and at home"
    lab.texts()
    home = lab.dir/'home'
    home.mkdir()
    os.environ['HOME'] = str(home)
    d = lab.main(*args)
    names = sorted(p.name for p in home.iterdir() if p.name[0]!='.')   # matplotlib keeps fonts there
    return d.code, 'a folder named ~' if (lab.dir/'~').exists() else names

@case('`out=~/run`', (0, ['run']))
def home_out(lab): return at_home(lab, 'train', 'tiny.toml', 'out=~/run')

@case('`prepare.cache=~/cache`', (0, ['cache']))
def home_cache(lab): return at_home(lab, 'prepare', 'tiny.toml', 'prepare.cache=~/cache')

@case('`tokenizer --save ~/tok`', (0, ['tok']))
def home_save(lab): return at_home(lab, 'tokenizer', 'tiny.toml', '--save', '~/tok')

@case('a config at `~/c.toml`', (0, ['c.toml']))
def home_config(lab):
    (lab.dir/'home').mkdir()
    (lab.dir/'home/c.toml').write_bytes((lab.dir/'tiny.toml').read_bytes())
    os.environ['HOME'] = str(lab.dir/'home')
    d = lab.main('config', '~/c.toml')
    return d.code, sorted(p.name for p in (lab.dir/'home').iterdir())

@case('a run at `~/run` is evaluated', 0)
def home_eval(lab):
    lab.texts()
    (lab.dir/'home').mkdir()
    lab.train(f'out={lab.dir/"home"/"run"}')
    os.environ['HOME'] = str(lab.dir/'home')
    return lab.main('eval', '~/run').code

@case('`~` in Python: a tokenizer, a look and an export are saved at home', ['exp', 'look.html', 'tok'], full=True)
def home_in_python(lab):
    from pretrain import export_run, look
    lab.texts()
    run = lab.fit()
    (lab.dir/'home').mkdir()
    os.environ['HOME'] = str(lab.dir/'home')
    run.tok.save('~/tok')
    look('text').save('~/look.html')
    export_run('run', '~/exp', check=False, say=lambda line: None)
    return sorted(p.name for p in (lab.dir/'home').iterdir() if p.name[0]!='.')

@case('`core.bundle=~/nothing` is looked for at home', True)
def home_bundle(lab):
    os.environ['HOME'] = '/nowhere'
    d = lab.train('core.bundle=~/nothing')
    return d.code==2 and '/nowhere/nothing' in d.err

@case('`data.train=~/texts`', (0, ['texts']))
def home_text(lab):
    lab.texts('home/texts')
    os.environ['HOME'] = str(lab.dir/'home')
    d = lab.main('prepare', 'tiny.toml', 'data.train=~/texts')
    return d.code, sorted(p.name for p in (lab.dir/'home').iterdir())

# Commands

@case('a folder that has the name of a shipped config', 'quickstart')
def folder_hides_config(lab):
    (lab.dir/'quickstart').mkdir()
    d = lab.main('config', 'quickstart')
    return 'quickstart' if d.code==0 and 'vocab_size' in d.out else d.err

@case('`key=value` after an option, as the help shows it', 'exit 0, 0 lines')
def key_after_option(lab):
    lab.texts()
    return lab.main('tokenizer', 'tiny.toml', '--save', 'tok', 'tokenizer.vocab_size=280').answer()

@case('options between the keys', 'exit 0, 0 lines')
def option_between_keys(lab):
    lab.texts()
    return lab.main('tokenizer', 'tiny.toml', 'seed=1', '--save', 'tok', 'tokenizer.vocab_size=280').answer()

@case('`pretrain` alone', True)
def bare_command(lab):
    d = lab.main()
    return all(c in d.text for c in ('train', 'sample', 'eval')) and 'Start with' in d.text

@case('`pretrain trian c.toml`', (True, 2))
def mistyped_command(lab):
    d = lab.main('trian', 'tiny.toml')
    return 'train' in d.err.splitlines()[-1] and 'did you mean' in d.err, d.code

@case('`pretrain smaple run`', (True, 2))
def mistyped_sample(lab):
    d = lab.main('smaple', 'run')
    return "did you mean" in d.err and 'sample' in d.err, d.code

def hint(lab, value, want, key='optim.lr'):
    d = lab.main('config', 'tiny.toml', f'{key}={value}')
    return d.code==0 and want in d.out or want in d.err

@case('`optim.lr=.001`', True)
def number_without_zero(lab): return hint(lab, '.001', '0.001')

@case('`optim.weight_decay=1.`', True)
def number_ends_in_dot(lab): return hint(lab, '1.', '1.0', 'optim.weight_decay')

@case('`optim.lr=5.e-4`', True)
def number_dot_before_e(lab): return any(hint(lab, '5.e-4', want) for want in ('5.0e-4', '5e-4', '0.0005'))

@case('`checkpoint.best=True`', True)
def true_in_python(lab): return hint(lab, 'True', 'true', 'checkpoint.best')

@case('`checkpoint.best=yes`', True)
def true_as_yes(lab): return hint(lab, 'yes', 'true', 'checkpoint.best')

@case('`optim.lr=1e-3,` with a comma left over', 'exit 2, 1 line')
def number_with_comma(lab): return lab.main('config', 'tiny.toml', 'optim.lr=1e-3,').answer()

@case('`prepare.cache` is a file: the key is named', True)
def cache_is_a_file(lab):
    lab.texts()
    lab.write('cache', 'mine')
    d = lab.main('prepare', 'tiny.toml')
    return 'prepare.cache' in d.err and d.answer()=='exit 2, 1 line' and (lab.dir/'cache').read_bytes()==b'mine'

def tiny_validation(lab, text):
    lab.texts()
    lab.write('v.txt', text)
    d = lab.main('prepare', 'tiny.toml', 'data.valid=v.txt')
    return d.says('data.valid')

@case('a validation text of one byte is remarked', True)
def validation_of_one_byte(lab): return tiny_validation(lab, 'a')

@case('a blank validation text is remarked', True)
def blank_validation(lab): return tiny_validation(lab, '\n\n \n')

@case('`[v2]/*.txt`, where such a folder is', True)
def brackets(lab):
    lab.texts('[v2]')
    d = lab.main('prepare', 'tiny.toml', 'data.train=[v2]/*.txt')
    return d.code==0 or d.says('escap') or d.says('[[]')

@case('a lone surrogate in a prompt is called what it is', True)
def surrogate_in_prompt(lab):
    lab.texts()
    run = lab.fit()
    try: run.sample('a\ud800')
    except ValueError as e: return 'surrogate' in str(e).lower()

# Speed, and what a name may do to others

@case('one file name that is not UTF-8: the hashes of other corpora are still remembered', 0)
def name_not_utf8(lab):
    lab.texts('a')
    lab.texts('b')
    Path(os.fsdecode(os.fsencode(str(lab.dir/'b'))+b'/\xff.txt')).write_text('A document.')
    import pretrain.data.prepare as P
    P.AT_REST_S = 0   # else files this young are not remembered
    calls,real = [],P.content_hash
    for f in ('a', 'b'): lab.main('prepare', 'tiny.toml', f'data.train={f}')
    P.content_hash = lambda source, *a: calls.append(str(source)) or real(source, *a)
    try: d = lab.main('prepare', 'tiny.toml', 'data.train=a')
    finally: P.content_hash,P.AT_REST_S = real,2.
    return d.text if d.code else len(calls)

@case('Hindi: a word of letters and marks is one piece', ['नमस्ते', ' दुनिया'])
def marks_in_words(lab): return pieces('नमस्ते दुनिया')

@case('Tamil and Thai', (2, 1))
def marks_in_tamil(lab): return len(pieces('வணக்கம் உலகம்')), len(pieces('สวัสดีที่นี่'))

@case('English as before', ['It', "'s", ' a', ' house', ',', ' ', '12', '34', '.'])
def english_pieces(lab): return pieces("It's a house, 1234.")

def pieces(text):
    import regex
    from pretrain.build import Config
    return regex.findall(Config().tokenizer.pattern, text)

def many_files(lab, n):
    (lab.dir/'text').mkdir()
    for i in range(n): (lab.dir/f'text/{i}.txt').write_text(f'Document {i}.')

@case('50,000 small files, prepared already: under 5 s of a core until the tokens are there', True, full=True)
def fifty_thousand_files(lab):
    many_files(lab, 50_000)
    lab.main('prepare', 'tiny.toml')
    time.sleep(3)   # files this young are not remembered
    lab.main('prepare', 'tiny.toml')
    t0 = time.process_time()
    d = lab.main('prepare', 'tiny.toml')
    dt = time.process_time()-t0
    return d.code==0 and dt<5 or f'{dt:.1f} s'
