"""`pretrain look` as a process: what it prints, that it writes nothing, that Ctrl-C shows what was seen. In tests/,
since a signal needs a process to receive it."""
import gzip, json, os, signal, subprocess, sys, time
import pytest
from helpers import env

CMD = [sys.executable, '-m', 'pretrain', 'look']

@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    "The same twenty documents in three formats, one of them packed"
    d = tmp_path_factory.mktemp('corpus')
    texts = [f'Document {i} says what the others do not say: {i*i} and {i**3}.' for i in range(20)]
    lines = ''.join(json.dumps(dict(text=t))+'\n' for t in texts)
    (d/'a.jsonl').write_text(lines)
    with gzip.open(d/'b.jsonl.gz', 'wt') as f: f.write(lines)
    (d/'c.txt').write_bytes(b'good\xff')
    return d

def files(d): return sorted((str(p), p.stat().st_mtime_ns) for p in d.rglob('*'))

def test_a_look_at_files_writes_nothing(corpus):
    before = files(corpus)
    p = subprocess.run([*CMD, '.', '--json'], cwd=corpus, env=env(), capture_output=True, text=True)
    assert (p.returncode, p.stderr, files(corpus))==(0, '', before)
    f = json.loads(p.stdout)
    found = f['sample'],f['copies']['exact'],f['flaws']['unreadable']
    assert [o['documents'] for o in found]==[40, 20, 1]
    assert [o['kind'] for o in f['files']]==['.jsonl','.jsonl.gz','.txt']
    assert f['copies']['exact']['examples'][0]['places']==['a.jsonl:1','b.jsonl.gz:1']
    assert f['flaws']['unreadable']['examples'][0]['text'].startswith('c.txt:1: ')

def test_ctrl_c_shows_what_was_seen(tmp_path):
    "A pipe of texts that never ends, as a script would look at"
    script = ('import itertools\nfrom pretrain.eval.look import look\n'
              'def endless():\n'
              '    for i in itertools.count():\n'
              '        if i==500: print("reading", flush=True)\n'
              '        yield f"text number {i} of many"\n'
              'print(look(endless(), size=1e12))')
    p = subprocess.Popen([sys.executable, '-c', script], cwd=tmp_path, env=env(), stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline()=='reading\n'
    time.sleep(.2)
    os.kill(p.pid, signal.SIGINT)
    try: out,_ = p.communicate(timeout=120)
    finally: p.kill()
    assert p.returncode==0 and out.startswith('looked at  stopped early: ') and 'tokens' in out
