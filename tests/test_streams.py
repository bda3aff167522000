"Needs processes: streams that are closed, full, in another encoding, or whose reader leaves"
import subprocess, sys
import pytest
from helpers import SMALL, env, write_texts

ARGS = [*SMALL, 'train.steps=4', 'eval.every=2', 'sample.every=2', 'sample.prompts=["The \\u00e9 \\u2615 "]']
SCRIPT = "from pretrain import Run, load_config; Run(load_config('c.toml', {overrides!r}), out={out!r}).fit()"

@pytest.fixture(scope='module')
def here(tmp_path_factory):
    d = tmp_path_factory.mktemp('streams')
    write_texts(d/'text')
    (d/'c.toml').write_text('[data]\ntrain = "text"\n')
    return d

def sh(here, what, out, script=False, **more):
    "Exit code and stderr of a training started by a shell; `what` holds RUN where the command goes"
    command = ['-m', 'pretrain', 'train', 'c.toml', *ARGS, f'out={out}']
    args = ['-c', SCRIPT.format(overrides=ARGS, out=out)] if script else command
    (here/f'{out}.args').write_bytes(b'\0'.join(a.encode() for a in args))
    run = f'xargs -0 -a {out}.args {sys.executable}'
    r = subprocess.run(['bash', '-c', 'set -o pipefail; ' + what.replace('RUN', run)], cwd=here, env=env(**more),
                       capture_output=True, text=True, timeout=300)
    return r.returncode,r.stderr

def ended(here, out): return (here/out/'metrics.jsonl').read_text().splitlines()[-1].startswith('{"step": 4,')

DOORS = dict(closed='RUN >&-', all_closed='RUN >&- 2>&- <&-', full='RUN >/dev/full',
             error_full='RUN >/dev/null 2>/dev/full', reader_leaves='RUN | head -n 1',
             errors_too='RUN 2>&1 | head -n 1')
SCRIPTS = 'all_closed', 'reader_leaves'   # the doors that are also tried from a script

@pytest.mark.parametrize('door,script', [*((d, False) for d in DOORS), *((d, True) for d in SCRIPTS)])
def test_a_run_goes_on_whoever_listens(here, door, script):
    out = f'{door}{script}'
    code,err = sh(here, DOORS[door], out, script)
    assert code==0 and ended(here, out) and 'Traceback' not in err, err

BARE = dict(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')   # a C locale that Python is not allowed to mend
LATIN = dict(PYTHONIOENCODING='latin-1', TERM='dumb', COLUMNS='20')
CODES = dict(ascii=dict(PYTHONIOENCODING='ascii'), latin=LATIN, bare=BARE)

@pytest.mark.parametrize('code,script', [('ascii', False), ('latin', False), ('bare', False), ('bare', True)])
def test_a_run_goes_on_in_any_encoding(here, code, script):
    out = f'{code}{script}'
    exit,err = sh(here, f'RUN > {out}.txt', out, script, **CODES[code])
    assert exit==0 and ended(here, out), err
    said = (here/f'{out}.txt').read_bytes()
    assert b'plan: 4 steps of 8 rows ' in said and b'done: best' in said and rb'\u2615' in said, said

def test_a_result_that_nobody_takes_is_said(here):
    "Where the output is the result, its loss is an error"
    r = subprocess.run([sys.executable, '-m', 'pretrain', 'config'], stdout=open('/dev/full', 'w'), env=env(),
                       stderr=subprocess.PIPE, text=True)
    assert r.returncode==2 and 'No space left on device' in r.stderr and r.stderr.count('\n')==1

TERMINALS = dict(COLUMNS='20'), dict(COLUMNS='1'), dict(COLUMNS='x', TERM='dumb', NO_COLOR='1'), BARE

@pytest.mark.parametrize('how', TERMINALS)
def test_help_on_any_terminal(how):
    for words in (['--help'], ['eval', '--help'], [], ['trian']):
        r = subprocess.run([sys.executable, '-m', 'pretrain', *words], capture_output=True, env=env(**how), timeout=60)
        assert r.returncode==(2 if words in ([], ['trian']) else 0)
        assert b'Traceback' not in r.stderr and b'\x1b' not in r.stdout+r.stderr
