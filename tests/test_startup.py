"""How soon a run starts. Here since it needs fresh processes: what they import, and how long `--help` takes."""
import json, os, subprocess, sys, threading, time, tomllib
import pytest
import forks
import pretrain.eval.text
from helpers import begun, env
from pretrain.build import Run

IDLE = """matplotlib sympy torch._dynamo torch._inductor torch.utils.tensorboard pyarrow pandas datasets fsspec s3fs
    wandb trackio tensorboard transformers tokenizers gguf IPython ipywidgets yaml requests""".split()
RUN = """
import json, sys
from pretrain.build import Run
imported = sorted(sys.modules)
run = Run(None, out='run', say=None, **json.loads(sys.argv[1]))
run.step()
print(json.dumps([imported, sorted(sys.modules)]))
"""

def of(modules, names):
    "Those of `names` that are among modules"
    return [n for n in names if any(m==n or m.startswith(n+'.') for m in modules)]

def fresh(code, *args, cwd):
    "What a fresh Python prints"
    env = os.environ | dict(OMP_NUM_THREADS='1')
    done = subprocess.run([sys.executable, '-c', code, *args], cwd=cwd, env=env, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode==0, done.stderr
    return done.stdout

KEYS = {'data.train': 'text.txt', 'data.valid': 'held.txt', 'data.separator': '\n', 'prepare.cache': 'cache',
        'prepare.workers': 1, 'tokenizer.vocab_size': 300, 'model.seq_len': 16, 'model.n_layer': 1, 'model.n_head': 1,
        'model.width': 8, 'loader.batch_rows': 4, 'train.steps': 2, 'train.device': 'cpu', 'optim.matrix': 'muon'}

def write_text(folder):
    "Training text, and more validation text than is measured in a short run"
    for name,lo,hi in (('text', 0, 400), ('held', 1000, 3000)):
        (folder/f'{name}.txt').write_text('\n'.join(f'A line about the number {i}.' for i in range(lo, hi)))

def test_the_first_step_imports_nothing_that_it_does_not_use(tmp_path):
    "Neither what draws, nor readers of other formats, nor torch's compiler"
    write_text(tmp_path)
    imported,stepped = json.loads(fresh(RUN, json.dumps(KEYS), cwd=tmp_path))
    assert 'torch' in imported and of(['a.b', 'ab'], ['a', 'ab', 'b'])==['a', 'ab']
    assert of(imported, IDLE)==[]
    assert of(stepped, IDLE)==[]

def run_of(said=None, **keys): return Run(None, out='run', say=None if said is None else said.append, **KEYS | keys)

def measured(): return [r for r in map(json.loads, open('run/metrics.jsonl')) if 'val_bpb' in r]

def test_what_a_run_chose_to_measure_it_keeps(tmp_path, monkeypatch):
    "Also when it goes on for much longer, from its own directory too; what is asked for wins"
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path)
    with run_of() as run: run.fit()
    first,last = measured()
    assert 0<first['val_read']<first['val_bytes']==last['val_bytes']<=20_000 and 'val_read' not in last
    assert run.data.text.of_bytes>50_000 and first['val_text']==last['val_text']
    assert tomllib.loads((tmp_path/'run/config.toml').read_text())['eval']['bytes']==20_000
    with run_of([], **{'train.steps': 10**6}) as run: assert run.cfg.eval.bytes==20_000
    said = []
    with Run('run', say=said.append, **{'train.steps': 3}) as run: run.fit()
    assert measured()[-1]['val_text']==last['val_text'] and not any('eval.bytes' in o for o in said)
    with run_of(said, **{'eval.bytes': 5000, 'train.steps': 4}) as run: assert run.data.text.n_bytes<=5000
    assert 'changed: eval.bytes = 20000 before, 5000 now' in said

def test_no_step_waits_for_yardsticks(tmp_path, monkeypatch, capsys):
    "The report at the end does"
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path)
    go,real = threading.Event(),pretrain.eval.text.yardsticks
    def slow(raw):
        assert go.wait(60)
        return real(raw)
    monkeypatch.setattr(pretrain.eval.text, 'yardsticks', slow)
    path,said = tmp_path/'run/evaluation/yardsticks.json',[]
    run = run_of(said)
    run.step()
    assert run.n_step==1 and not path.exists()
    go.set()
    run.fit()
    found = json.loads(path.read_text())
    assert found['read_bytes']==run.data.text.of_bytes and found['val_text']==run.data.text.name
    assert (capsys.readouterr().out+' '.join(said)).count('yardsticks: gzip')==1
    run.close()

# ------------------------------------------------------------ commands that other tests start as forks

@pytest.mark.skipif('FRESH' in os.environ or sys.platform!='linux', reason='FRESH in the environment, or not Linux')
def test_commands_are_forks_whatever_tests_have_imported():
    "Torch's compiler leaves a variable in the environment of who imports it, and tests do"
    assert forks.usable(env()), (forks.own(env()), forks.OWN)
    assert forks.usable(env(TORCHINDUCTOR_CACHE_DIR='anywhere'))
    assert not forks.usable(env(PYTHONUTF8='0'))

@pytest.mark.skipif(not forks.usable(env()), reason='FRESH in the environment, or not Linux')
def test_a_fork_says_what_a_fresh_start_says(tmp_path):
    "The same lines, the same code; none of our modules is there before it begins, and a signal ends it"
    for args in (['config', 'quickstart'], ['config', 'quickstrat'], []):
        p = forks.run(args, tmp_path, env(), module='pretrain')
        q = subprocess.run([sys.executable, '-m', 'pretrain', *args], cwd=tmp_path, env=env(), capture_output=True,
                           text=True)
        assert (p.returncode, p.stdout, p.stderr)==(q.returncode, q.stdout, q.stderr), args
    show = 'import json, os, sys; print(json.dumps([sys.argv, os.getcwd(), sorted(sys.modules)]))'
    (tmp_path/'shown.py').write_text(show)
    argv,cwd,modules = json.loads(forks.run(['a b'], tmp_path, env(), module='shown').stdout)
    assert (argv, cwd)==([str(tmp_path/'shown.py'), 'a b'], str(tmp_path))
    assert of(modules, ['torch', 'pretrain'])==['torch']
    (tmp_path/'pretrain.py').write_text('import time; print("on", flush=True); time.sleep(100)')
    p = begun(cwd=tmp_path)
    end = time.monotonic()+60
    while not p.out.read_text() and time.monotonic()<end: time.sleep(.01)
    assert p.poll() is None
    p.kill()
    assert p.wait()==-9 and p.communicate()[0]=='on\n'
