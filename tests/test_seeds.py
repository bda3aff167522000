"Needs processes: a series of seeds that is killed in its second run, and goes on with the same command"
import json, time
from helpers import SMALL, begun, pretrain, write_texts

ARGS = ['train', 'c.toml', *SMALL, 'train.steps=30', 'train.save_every=5', 'eval.every=10', 'sample.every=0',
        'out=series', '--seeds', '2']

def test_a_killed_series_goes_on_and_is_compared(tmp_path):
    write_texts(tmp_path/'text', 20)
    (tmp_path/'c.toml').write_text('[data]\ntrain = "text"\n')
    logs = [tmp_path/f'series/seed{k}/metrics.jsonl' for k in (1, 2)]
    p = begun(*ARGS, cwd=tmp_path)
    end = time.monotonic()+120
    while time.monotonic()<end and p.poll() is None and (not logs[1].exists() or logs[1].read_bytes().count(b'\n')<8):
        time.sleep(.002)
    p.kill()
    assert p.wait()<0
    first = logs[0].read_bytes()
    r = pretrain(*ARGS, cwd=tmp_path)
    assert r.returncode==0, r.stderr
    assert logs[0].read_bytes()==first and 'series/seed1 has taken all its 30 steps' in r.stdout
    assert [json.loads(l)['step'] for l in logs[1].read_text().splitlines()]==[*range(31)]
    assert '± ' in r.stdout.splitlines()[-1] and '2 runs' in r.stdout.splitlines()[-1]
    assert '<title>' in (tmp_path/'series/seeds.svg').read_text()
    r = pretrain('compare', 'series/*1', 'series/*2', '--by', 'step', cwd=tmp_path)
    assert r.returncode==0 and 'one run cannot tell' in r.stdout and (tmp_path/'compare.svg').is_file()
    r = pretrain('compare', 'series', 'nowhere', cwd=tmp_path)
    assert (r.returncode, r.stderr.count('\n'))==(2, 1) and 'nowhere: no run, no series' in r.stderr
