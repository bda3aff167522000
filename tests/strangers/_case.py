"""What all situations share: a folder of their own with a tiny config and some text, the command line in this process
or in another, and the table of what was expected and seen"""
import contextlib, hashlib, io, json, os, random, subprocess, sys, warnings
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import helpers

TINY = '''out = "run"
[data]
train = "text"
[tokenizer]
vocab_size = 290
[prepare]
cache = "cache"
workers = 1
[model]
seq_len = 32
n_layer = 1
n_head = 2
width = 16
[loader]
batch_rows = 4
[eval]
every = 2
rows = 4
[sample]
prompts = ["The "]
tokens = 4
[metrics]
peak_tflops = 1.0
[train]
steps = 4
device = "cpu"
threads = 1
'''
CASES = {}  # name to case, in the order of the files

@dataclass(frozen=True)
class Case:
    "A situation, and what a user should meet in it"
    name:str
    situation:str   # In words
    expected:object # What `fn` returns where all is well
    fn:object       # Does it in a `Lab`
    full:bool       # Only with --full: it takes long

def case(situation, expected, full=False):
    "Make a function a case"
    def add(fn):
        assert fn.__name__ not in CASES, fn.__name__
        CASES[fn.__name__] = Case(fn.__name__, situation, expected, fn, full)
        return fn
    return add

@dataclass(frozen=True)
class Done:
    "What a command left"
    code:int
    out:str
    err:str
    @property
    def text(self): return self.out+self.err
    def says(self, *words): return all(w.lower() in self.text.lower() for w in words)
    def answer(self):
        "Exit code, and whether it was one line without a traceback"
        lines = self.err.strip().splitlines()
        form = 'a traceback' if 'Traceback' in self.text else f'{len(lines)} line{"s"*(len(lines)!=1)}'
        return f'exit {self.code}, {form}'

def drawing(on):
    "Inside, runs draw no picture at their end, unless `on`"
    import pretrain.eval.page as page
    return contextlib.nullcontext() if on else mock.patch.object(page, 'save_plot', lambda log: log.path)

class Lab:
    "A folder with a tiny config, and verbs for a user's doings"
    def __init__(self, dir):
        self.dir,self.said = Path(dir),[]
        self.write('tiny.toml', TINY)

    def write(self, name, text):
        path = self.dir/name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def texts(self, folder='text', n=60, seed=0):
        "Some documents of a few lines in a folder"
        rng,words = random.Random(seed),'The a number sea house reads writes old new less more of in on'.split()
        def line(): return ' '.join(rng.choices(words, k=rng.randint(4, 9)))+'.'
        for i in range(n): self.write(f'{folder}/{i:03}.txt', '\n'.join(line() for _ in range(rng.randint(3, 9)))+'\n')

    def main(self, *args, draw=False):
        "The command line, in this process; the pictures at the end of a run, which take seconds, only where asked"
        from pretrain.cli import main
        out,err = io.StringIO(),io.StringIO()
        with drawing(draw), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try: code = main([*map(str, args)])
            except SystemExit as e: code = e.code
        return Done(code, out.getvalue(), err.getvalue())

    def train(self, *args, **kw): return self.main('train', 'tiny.toml', *args, **kw)

    def process(self, *args, timeout=60, **kw):
        "A process: Python with some arguments; exit 124 where it had to be ended"
        env = helpers.env(PYTHONPATH=os.pathsep.join(p for p in sys.path if p), **kw.pop('env', {}))
        p = subprocess.Popen([sys.executable, *map(str, args)], cwd=kw.pop('cwd', self.dir), env=env,
                             **dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) | kw)
        try: out,err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            return Done(124, *(o.decode() for o in p.communicate()))
        return Done(p.returncode, *((o or b'').decode(errors='replace') for o in (out,err)))

    def command(self, *args, **kw): return self.process('-m', 'pretrain', *args, **kw)

    def run(self, **keys):
        from pretrain import Run
        evals = keys.pop('evals', None)
        return Run(keys.pop('config', 'tiny.toml'), say=self.said.append, evals=evals, **keys)

    def fit(self, **keys):
        "A run to its end"
        run = self.run(**keys)
        with drawing(False): return run.fit()

    def heard(self, *words): return any(all(w.lower() in l.lower() for w in words) for l in self.said)

    def documents(self, split, **keys):
        from pretrain.build import load_config
        from pretrain.data.split import split_documents
        from pretrain.data.policy import Skipped
        return [*split_documents(load_config('tiny.toml', **keys).data, split, Skipped())]

    def log(self, out='run'): return [json.loads(l) for l in (self.dir/out/'metrics.jsonl').read_text().splitlines()]
    def steps(self, out='run'): return [r['step'] for r in self.log(out)]
    def saved(self, out='run'):
        return sorted(int(p.name.partition('_')[2]) for p in (self.dir/out/'checkpoints').glob('step_*'))

    def tree(self, at='.'):
        "Every file below a folder, and what it holds"
        files = sorted(p for p in (self.dir/at).rglob('*') if p.is_file() and '__pycache__' not in p.parts)
        return {str(p.relative_to(self.dir)): hashlib.sha256(p.read_bytes()).hexdigest()[:12] for p in files}

def short(e): return f'{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ""}'[:300]

def try_case(c, tmp):
    "Whether it holds, and what was seen"
    where,env = os.getcwd(),dict(os.environ)
    dir = Path(tmp)/c.name
    dir.mkdir()
    os.chdir(dir)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            seen = c.fn(Lab(dir))
    except Exception as e: seen = short(e)
    finally:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(env)
    return (type(seen),seen)==(type(c.expected),c.expected),seen   # 1 is not True
