"Needs processes: a run that gets a real Ctrl-C at three places, and several ranks under torchrun"
import html, json, re, shlex, signal, subprocess, sys, time
import pytest
from helpers import SMALL, begun, env, hear_hang_up, pretrain, write_texts
from pretrain.store.checkpoint import load_checkpoint, newest_checkpoint
from pretrain.store.events import read_events

ARGS = ['train', 'c.toml', *SMALL, 'train.steps=40', 'eval.every=10', 'sample.every=0', 'train.save_every=0']

@pytest.fixture(scope='module')
def here(tmp_path_factory):
    d = tmp_path_factory.mktemp('resume')
    write_texts(d/'text')
    (d/'c.toml').write_text('[data]\ntrain = "text"\n')
    r = pretrain(*ARGS, 'out=whole', cwd=d)
    assert r.returncode==0, r.stderr
    return d

def log(d, out): return [json.loads(l) for l in (d/out/'metrics.jsonl').read_text().splitlines()]

def curve(d, out):
    return [tuple(r.get(k) for k in ('step','loss','loss_ema','grad_norm','lr','val_bpb')) for r in log(d, out)]

def state(d, out):
    tensors,s = load_checkpoint(newest_checkpoint(d/out/'checkpoints')[0])
    return {f'{part}/{k}': v for part,ts in tensors.items() for k,v in ts.items()},s

def assert_same(d, a, b):
    (ta,sa),(tb,sb) = state(d, a),state(d, b)
    assert ta.keys()==tb.keys()
    assert [k for k in ta if not ta[k].equal(tb[k])]==[]
    assert all(sa[k]==sb[k] for k in ('step','best','ema','guard','identity'))
    assert curve(d, a)==curve(d, b)

def interrupt_at(d, out, step, sig=signal.SIGINT, under=()):
    "Start a run, send it a signal once the log has reached `step`"
    if not under: p = begun(*ARGS, f'out={out}', cwd=d)
    else: p = subprocess.Popen([*under, sys.executable, '-m', 'pretrain', *ARGS, f'out={out}'], cwd=d, env=env(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=hear_hang_up)
    path,end = d/out/'metrics.jsonl',time.monotonic()+120
    while time.monotonic()<end and p.poll() is None and (not path.exists() or path.read_bytes().count(b'\n')<=step):
        time.sleep(0.002)
    p.send_signal(sig)
    text = p.communicate(timeout=120)[0]
    return p.returncode,text

def test_sigint_three_times_equals_uninterrupted(here):
    stops = []
    for step in (3, 14, 26):
        code,text = interrupt_at(here, 'cut', step)
        assert code==130, text
        assert 'start again with the same' in text and 'Traceback' not in text
        stops.append(log(here, 'cut')[-1]['step'])
        assert '>interrupted; written ' in (here/'cut/report/index.html').read_text()
        assert f'step {stops[-1]} of 40' in (here/'cut/report/index.html').read_text()
    assert stops==sorted(set(stops)) and stops[-1]<40
    assert pretrain(*ARGS, 'out=cut', cwd=here).returncode==0
    assert_same(here, 'whole', 'cut')
    told = [(e['what'], e['step']) for e in read_events(here/'cut')]
    assert told==[('begin', 0), *(o for n in stops for o in (('interrupt', n), ('begin', n))), ('end', 40)]
    assert '>finished; written ' in (here/'cut/report/index.html').read_text()
    repeats(here, 'cut')

def repeats(here, out):
    "Does the command on a run's page, word for word, make the same run again?"
    page = (here/out/'report/index.html').read_text()
    said = shlex.split(html.unescape(re.search('<pre class="command">(.*?)</pre>', page)[1]))
    assert said[:2]==['pretrain', 'train'] and said[3]==f'out={out}-again'
    r = pretrain(*said[1:], cwd=here)
    assert r.returncode==0, r.stderr
    assert_same(here, out, f'{out}-again')

def test_sigterm_saves_and_continues(here):
    code,text = interrupt_at(here, 'term', 8, signal.SIGTERM)
    assert code==143, text
    assert pretrain(*ARGS, 'out=term', cwd=here).returncode==0
    assert_same(here, 'whole', 'term')

def test_hang_up(here):
    "A terminal that closes: the run saves and stops, but not where `nohup` says that it shall go on"
    assert interrupt_at(here, 'hup', 8, signal.SIGHUP)[0]==129
    assert log(here, 'hup')[-1]['step']<40
    code,text = interrupt_at(here, 'nohup', 8, signal.SIGHUP, under=['nohup'])
    assert code==0, text
    assert_same(here, 'whole', 'nohup')

def test_second_process_is_refused(here):
    "While one process trains in a directory, another one is told who it is"
    p = begun(*ARGS, 'out=busy', 'train.steps=4000', cwd=here)
    try:
        path,end = here/'busy/metrics.jsonl',time.monotonic()+120
        while time.monotonic()<end and not path.exists(): time.sleep(0.02)
        r = pretrain(*ARGS, 'out=busy', cwd=here)
        assert r.returncode==2 and f'pid {p.pid}' in r.stderr and r.stderr.count('\n')==1
    finally:
        p.kill()
        p.wait()
    r = pretrain(*ARGS, 'out=busy', 'train.steps=4', 'schedule.warmup=1', cwd=here)
    assert r.returncode==0, r.stderr

def test_finished_run_stays_finished(here):
    before = (here/'whole/metrics.jsonl').read_bytes()
    r = pretrain(*ARGS, 'out=whole', cwd=here)
    assert r.returncode==0 and 'finished' in r.stdout
    assert (here/'whole/metrics.jsonl').read_bytes()==before

def test_another_seed_is_another_run(here):
    "The comparison above can fail"
    assert pretrain(*ARGS, 'out=other', 'seed=2', cwd=here).returncode==0
    with pytest.raises(AssertionError): assert_same(here, 'whole', 'other')

def test_changed_model_is_refused(here):
    r = pretrain(*ARGS, 'out=whole', 'model.width=64', cwd=here)
    assert r.returncode==2 and 'model.width = 32' in r.stderr and r.stderr.count('\n')==1

def test_two_ranks_equal_one(here):
    "Two processes see the same global batches; losses agree to rounding"
    r = pretrain(*ARGS, 'out=two', cwd=here, n_proc=2)
    assert r.returncode==0, r.stdout+r.stderr
    assert [(e['what'], e['step']) for e in read_events(here/'two')]==[('begin', 0), ('end', 40)]   # of one rank
    assert 'torchrun --nproc-per-node=2 -m pretrain train two ' in (here/'two/report/index.html').read_text()
    one,two = curve(here, 'whole'),curve(here, 'two')
    assert [x[0] for x in one]==[x[0] for x in two]
    assert abs(one[1][1]-two[1][1])<1e-6 and abs(one[0][5]-two[0][5])<1e-6
    for a,b in zip(one[1:], two[1:]): assert a[1]==pytest.approx(b[1], abs=2e-4) and a[3]==pytest.approx(b[3], rel=1e-2)

def test_run_directory_is_complete(here):
    files = {p.relative_to(here/'whole').as_posix() for p in (here/'whole').rglob('*') if p.is_file()}
    want = {'config.toml','metrics.jsonl','samples.jsonl','tokenizer/tokenizer.tiktoken','tokenizer/tokenizer.json',
            'evaluation/yardsticks.json','report/loss.png','report/index.html','report/now.json','events.jsonl',
            *(f'checkpoints/step_00000040/{f}' for f in ('model.safetensors','optimizer.safetensors','state.json',
                                                         'manifest.json'))}
    assert want<=files, want-files
