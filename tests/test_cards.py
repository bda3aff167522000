"""Objects that show themselves in a cell, held against one reader: well-formed, escaped, small, quick, read-only. In
tests/, since it takes the objects of every wing side by side, and odd ones."""
import re, time
from html.parser import HTMLParser
from pathlib import Path
import numpy as np, pytest, torch
from pretrain.base.card import MOST
from pretrain.build import Config, Run, load_config
from pretrain.data.loader import Loader
from pretrain.data.mixture import MixedLoader
from pretrain.data.shards import Tokens
from pretrain.data.tokenizer import Tokenizer
from pretrain.eval.core.verdict import CoreResult, TaskResult
from pretrain.eval.preflight import Check, Report
from pretrain.model.blocks import ModelConfig
from pretrain.model.gpt import GPT
from pretrain.model.optim import OptimConfig, build_optim
from pretrain.store.saver import CheckpointConfig, Saver
from pretrain.train.guard import Guard, GuardConfig

PATH = '<script>é"\'&'   # which may be one
HOSTILE = '<script>alert(1)</script>\x1b[2J\u202e"\'&'
LIMIT_S = .05  # A card is there so soon [s]; the best of three, as others use this machine too

class Reader(HTMLParser):
    "What is open, what is wrong, and the text outside of styles"
    def __init__(self):
        super().__init__()
        self.open,self.wrong,self.text,self.marks = [],[],'',[]
    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.marks.append((tag, dict(attrs)))
        self.wrong += [f'{tag} {k}' for k,v in attrs if k.startswith('on') or k in ('src', 'href')]
        if tag in ('script', 'iframe', 'link', 'img', 'input'): self.wrong.append(tag)
    def handle_startendtag(self, tag, attrs): pass
    def handle_endtag(self, tag):
        if not self.open or self.open.pop()!=tag: self.wrong.append(f'/{tag}')
    def handle_data(self, data):
        if 'style' not in self.open: self.text += data

def read(html):
    r = Reader()
    r.feed(html)
    r.close()
    assert r.wrong+r.open==[], r.wrong+r.open
    return r

def toks(*lens, V=50): return Tokens.from_docs([[0]+[1+i%(V-1) for i in range(n-1)] for n in lens], vocab_size=V)
def gpt(**kw): return GPT(ModelConfig(**(dict(seq_len=16, n_layer=1, n_head=1, width=8) | kw)), 50)
def checked(*oks): return [Check(name=HOSTILE, ok=o, measured=HOSTILE, expected='2', seconds=.1) for o in oks]
def task(label='a', n=4, right=2):
    return TaskResult(label=label, kind='multiple_choice', shots=0, n=n, n_correct=right, n_nan=1, baseline=25.,
                      baseline_v2=30., n_cropped=1)

def large():
    "More documents than are planned only to be shown, and of odd sizes"
    rng = np.random.default_rng(0)
    return Loader(toks(*rng.integers(2, 40, 5000).tolist()), 16, 8)

def asked():
    o = large()
    o.batch(0)
    return o

def bad_guard(**kw):
    g = Guard(GuardConfig(**kw))
    for step in (1, 2): g.judge(step, float('nan'), 1.)
    return g

def failing(path):
    s = Saver(path/HOSTILE.replace('/', '_'), CheckpointConfig(best=True))
    s.error = ValueError(HOSTILE)
    return s

OBJECTS = dict(
    defaults=lambda d: Config(), shipped=lambda d: load_config('quickstart'), section=lambda d: OptimConfig(lr=1.),
    changed=lambda d: load_config(None, {'out': PATH, 'data.train': [f'{PATH}{i}' for i in range(500)],
                                         'sample.prompts': [HOSTILE]*99, 'optim.lr': 1e-9}),
    mixture=lambda d: Config(data=dict(train=[dict(path=f'é{i}/', weight=1) for i in range(40)])),
    gpt=lambda d: gpt(), wide=lambda d: gpt(n_layer=40, window=4, resid_scalars=True),
    optim=lambda d: build_optim(gpt(), OptimConfig()),
    muon=lambda d: build_optim(gpt(n_layer=30), OptimConfig(matrix='muon')),
    bytes=lambda d: Tokenizer({bytes([i]): i for i in range(256)}, r'[\s\S]', ('<|bos|>', HOSTILE)),
    one_row=lambda d: Loader(toks(3), 2, 1), one_token=lambda d: Loader(toks(2), 64, 3),
    loader=lambda d: Loader(toks(*range(2, 60)), 64, 8), large=lambda d: large(), asked=lambda d: asked(),
    mixed=lambda d: MixedLoader({HOSTILE: toks(9, 30), 'b': toks(2)}, [2, 1], 8, 4),
    no_checks=lambda d: Report([]), passed=lambda d: Report(checked(True)),
    failed=lambda d: Report(checked(True, False), left=[HOSTILE], tried=HOSTILE),
    guard=lambda d: Guard(), bad=lambda d: bad_guard(spike=3.), back=lambda d: bad_guard(on_bad='rollback'),
    saver=lambda d: Saver(d), broken=lambda d: failing(d),
    no_tasks=lambda d: CoreResult([], []), unasked=lambda d: CoreResult([task(n=0, right=0)], []),
    core=lambda d: CoreResult([task(HOSTILE), task('b', 10**6, 10**6)]+[task(f't{i}') for i in range(22)], []))

def check(o):
    "The text of its card"
    t = []
    for _ in range(3):
        t0 = time.process_time()
        html = type(o)._repr_html_.__wrapped__(o)   # which raises what a cell would not see
        t.append(time.process_time()-t0)
    r = read(html)
    assert min(t)<LIMIT_S, t
    assert len(html.encode())<=MOST, len(html.encode())
    assert '<script' not in html and not re.search('[\x00-\x08\x0b-\x1f\u202e]', html)
    for _,attrs in r.marks:   # a colour never stands alone: a word and a sign are in it
        if attrs.get('class') in ('ok', 'bad'): assert f'{"✓" if attrs["class"]=="ok" else "✗"} ' in r.text
    assert repr(o) and '<div' not in repr(o)
    return r.text

@pytest.mark.parametrize('name', OBJECTS)
def test_card(name, tmp_path): check(OBJECTS[name](tmp_path))

def test_what_is_said(tmp_path):
    def said(name): return check(OBJECTS[name](tmp_path))
    assert '0 of 150 settings differ' in re.sub('of [0-9]+', 'of 150', said('defaults')) and '1e-09' in said('changed')
    assert '✗ 1 of 2 checks passed' in said('failed') and '✗ FAILED' in said('failed') and '✓ ok' in said('passed')
    assert 'worked out' in said('large') and 'the first rows' in said('asked')
    assert 'padding' in said('one_token') and '66.67% of the rows' in said('mixed')
    assert 'no tasks' in said('no_tasks') and '2 of 5 that are borne' in said('bad') and '2 of 3' in said('back')
    assert 'no checkpoint yet' in said('saver') and '✗ the last save failed' in said('broken')

def test_a_card_that_cannot_be_made_is_none():
    r = Report([None])
    assert r._repr_html_() is None
    with pytest.raises(AttributeError): Report._repr_html_.__wrapped__(r)

def test_the_reader_detects():
    for bad in ('<b>', '</b>', '<script></script>', '<p onclick="x"></p>', '<a href="https://host"></a>'):
        with pytest.raises(AssertionError): read(bad)

TINY = {'data.train': 'text.txt', 'tokenizer.vocab_size': 265, 'model.seq_len': 16, 'model.n_layer': 1,
        'model.n_head': 1, 'model.width': 8, 'loader.batch_rows': 2, 'train.steps': 4, 'preflight.at_start': False,
        'prepare.workers': 1, 'prepare.cache': 'cache', 'eval.every': 2, 'sample.prompts': [], 'train.device': 'cpu'}

def files(d):
    there = [(p.relative_to(d), p.stat()) for p in d.rglob('*') if p.is_file()]
    return sorted((p, s.st_mtime_ns, s.st_size) for p,s in there)

def test_run(tmp_path, monkeypatch):
    "Of no steps, under way, at its end, closed, only looked at; nothing is written, evaluated or waited for"
    monkeypatch.chdir(tmp_path)
    Path('text.txt').write_text('\n\n'.join(f'A line of text, number {i}.' for i in range(200)))
    cfg = TINY | {'out': '<b>ü<script>'}
    with Run(None, say=None, **cfg) as run:
        assert 'has not begun' in check(run) and 'nothing yet' in check(run)
        run.step()
        for o in (run.yards, run.pages): o.join()   # what goes on beside it
        before,rng = files(tmp_path),torch.get_rng_state()
        assert '1 of 4' in check(run) and 'can go on' in check(run) and 'training loss' in check(run)
        assert files(tmp_path)==before and torch.equal(torch.get_rng_state(), rng)
        for o in (run.cfg, run.model, run.opt, run.tok, run.loader, run.state.guard, run.saver): check(o)
        run.fit()
        assert 'is at its end' in check(run) and 'next savenone' in check(run).replace('\n', '')
    assert 'given back' in check(run)
    (tmp_path/cfg['out']/'metrics.jsonl').write_bytes(b'\0\n{"torn\n[1]\n{"step": 1, "loss": null}\n{"step":2')
    assert 'given back' in check(run)
    with Run(None, say=None, look=True, **cfg) as seen: assert 'opened to look' in check(seen)

def test_the_list_after_a_dot(tmp_path, monkeypatch):
    from pretrain.alive import CALLED
    monkeypatch.chdir(tmp_path)
    Path('text.txt').write_text('\n\n'.join(f'A line of text, number {i}.' for i in range(200)))
    with Run(None, say=None, **TINY) as run:
        assert dir(run)==sorted(CALLED)
        assert all(callable(getattr(Run, k)) and (getattr(Run, k).__doc__ or k in ('close',))
                   for k in CALLED if callable(getattr(Run, k, None)))
