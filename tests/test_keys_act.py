"""Every key of the config acts: each is changed by a run of its own, and what it should change is seen to change. In
tests/, since the keys are those of all modules together; a new key without a row here fails."""
import gzip, hashlib, io, json, math, re
from contextlib import contextmanager
from dataclasses import dataclass
import pytest, torch
from helpers import TIMES
from pretrain.base.config import leaves, to_dict
from pretrain.build import Config, Run, load_config
from pretrain.data.corpus import corpus_fingerprint
from pretrain.data.prepare import get_tokenizer, prepare
from pretrain.data.policy import CorpusError, Skipped
from pretrain.data.split import split_documents
from pretrain.model.blocks import Block
from pretrain.store.checkpoint import newest_checkpoint
from pretrain.train.identity import flat

KEYS = ['.'.join(path) for path in leaves(Config)]
BASE = {'tokenizer.vocab_size':300, 'prepare.workers':1, 'prepare.cache':'cache', 'data.train':['train.jsonl'],
        'data.valid':['valid.txt'], 'data.separator':'\n--\n',
        'model.seq_len':16, 'model.n_layer':2, 'model.n_head':2, 'model.width':16, 'model.init_out':.5,
        'loader.batch_rows':4, 'schedule.warmup':1, 'schedule.warmdown':.5, 'eval.every':2, 'eval.rows':4,
        'sample.prompts':['The '], 'sample.tokens':12, 'preflight.at_start':False, 'metrics.peak_tflops':1.,
        'train.steps':6, 'train.device':'cpu', 'train.threads':1}

@dataclass(frozen=True)
class Row:
    "A key, another value, and where it must be seen"
    key:str         # Dotted
    value:object    # Another one than that of the base
    sees:str        # What must differ: `weights`, `log`, `samples`, `files`, `shapes`, `said`, `end`
    base:tuple = () # What else must be set for the key to act, as `(key, value)`
    bad:tuple = ()  # Steps whose loss is spoilt, as `(step, factor)`

    def __str__(self): return self.key

def row(key, value, sees='weights', bad=(), **base):
    return Row(key, value, sees, tuple((k.replace('__', '.'), v) for k,v in base.items()), bad)

NAN,SPIKE = ((2, math.nan), (3, math.nan)),((4, 50.),)
MUON,SCALARS = dict(optim__matrix='muon'),dict(model__x0_scalars=True)
ROWS = [
    row('seed', 2),
    row('loader.batch_rows', 8), row('loader.window', 2),
    row('model.depth', 2), row('model.dial_tokens', 10**6, model__depth=2), row('model.recipe', 'best'),
    row('model.seq_len', 12), row('model.n_layer', 1), row('model.n_head', 1), row('model.n_kv_head', 1),
    row('model.width', 32), row('model.mlp_ratio', 2), row('model.rope_base', 50.), row('model.softcap', 2.),
    row('model.window', 4), row('model.norm_eps', 1e-3), row('model.init_embed', .5), row('model.init_head', .1),
    row('model.init_matrix', .5), row('model.init_out', .1), row('model.init_up', .5),
    row('model.init_pairs', True, model__init_out=0.),
    row('model.resid_scalars', True), row('model.x0_scalars', True), row('model.value_embed', 'alternate'),
    row('model.value_gate', 3., model__value_embed='all'), row('model.value_residual', True),
    row('model.qk_scale', 1.2), row('model.post_norm', True), row('model.attn_gate', True),
    row('model.smear', True), row('model.backout', True),
    row('model.bigram', 50),
    row('optim.matrix', 'muon'), row('optim.lr', 1e-3), row('optim.muon_lr', .01, **MUON),
    row('optim.muon_momentum', .9, **MUON), row('optim.embed_lr', .05), row('optim.head_lr', .02),
    row('optim.beta1', .8), row('optim.beta2', .9), row('optim.eps', 1e-7), row('optim.weight_decay', .2),
    row('optim.clip', .01), row('optim.muon_momentum_rise', 4, **MUON),
    row('optim.muon_momentum_begin', .5, **MUON, optim__muon_momentum_rise=4),
    row('optim.muon_momentum_end', .7, **MUON), row('optim.decay_shape', 'linear'),
    row('optim.muon_nesterov', False, **MUON), row('optim.muon_beta2', .9, **MUON),
    row('optim.muon_equal_rows', True, **MUON), row('optim.muon_cautious', True, **MUON),
    row('optim.muon_chain', 'quintic', **MUON), row('optim.muon_iters', 3, **MUON),
    row('optim.muon_dtype', 'bfloat16', **MUON), row('optim.muon_scale', 'rms', **MUON),
    row('optim.scalar_lr', .5, **SCALARS), row('optim.scalar_betas', [.5, .5], **SCALARS),
    row('optim.embed_betas', [.5, .9]), row('optim.head_betas', [.5, .9]),
    row('optim.embed_decay', .5), row('optim.head_decay', .5),
    row('guard.on_bad', 'rollback', 'log', NAN), row('guard.max_bad', 2, 'end', NAN),
    row('guard.max_rollbacks', 1, 'end', NAN, guard__on_bad='rollback'),
    row('guard.spike', 3., 'log', SPIKE, guard__spike_window=3),
    row('guard.spike_window', 3, 'log', SPIKE, guard__spike=3.),
    row('schedule.warmup', 3), row('schedule.warmdown', .7), row('schedule.final', .5), row('schedule.shape', 'cosine'),
    row('metrics.ema_beta', .5, 'log'), row('metrics.peak_tflops', 2., 'said'),
    row('eval.every', 3, 'log'), row('eval.bytes', 400, 'log'), row('eval.rows', 2, 'shapes'),
    row('eval.share', 0., 'log', data__valid=('long.txt',)),
    row('sample.every', 2, 'samples'), row('sample.prompts', ['A '], 'samples'), row('sample.tokens', 3, 'samples'),
    row('sample.temperature', 0., 'samples'), row('sample.top_k', 2, 'samples'), row('sample.top_p', .1, 'samples'),
    row('sample.min_p', 1., 'samples'), row('sample.seed', 5, 'samples'),
    row('core.bundle', 'bundle', 'log'), row('core.every', 2, 'log', core__bundle='bundle'),
    row('core.max_per_task', 2, 'files', core__bundle='bundle'),
    row('core.batch_tokens', 64, 'shapes', core__bundle='bundle'),
    row('preflight.at_start', True, 'said'),
    row('checkpoint.keep', 1, 'files', train__save_every=1), row('checkpoint.best', True, 'files', optim__embed_lr=9.),
    row('checkpoint.keep_every', 2, 'files'),
    row('track.log_every', 2, 'said'), row('track.layers_every', 2, 'log'),
    row('train.steps', 7),
    row('train.tokens', 400, train__steps=0, train__tokens=300),
    row('train.tokens_per_param', .04, train__steps=0, train__tokens_per_param=.03),
    row('train.horizon', (2,7,4,6), train__steps=0, train__horizon=(2,7)),
    row('train.micro_rows', 2, 'shapes'), row('train.save_every', 3, 'files'),
    row('train.sums', 'float64', train__micro_rows=1),
    row('train.precision', 'bfloat16'), row('train.init', 'begun'),
]

def write_text(folder):
    "Documents of several lengths, numbers and words, and others for validation"
    texts = [f'The number {i} is {"less" if i%3 else "more"} than {i*7%50}.'+' And so on.'*(i%5) for i in range(300)]
    (folder/'train.jsonl').write_text('\n'.join(json.dumps(dict(text=t, body=t[::-1])) for t in texts))
    (folder/'valid.txt').write_text('\n--\n'.join(f'A number {i} is more than {i-3}.' for i in range(300, 315)))
    (folder/'long.txt').write_text('\n--\n'.join(f'A number {i} is more than {i-3}.' for i in range(300, 1200)))

def write_bundle(folder):
    from pretrain.eval.core import tasks
    rows = [dict(query=f'The number {i} is', choices=['less','more than'], gold=i%2) for i in range(6)]
    tasks.write_bundle(folder, [dict(label='ask', kind='multiple_choice', shots=1, baseline=50, rows=rows)])

@pytest.fixture(scope='module')
def here(tmp_path_factory):
    d = tmp_path_factory.mktemp('keys')
    write_text(d)
    write_bundle(d/'bundle')
    return d

@contextmanager
def seen_shapes():
    "Sizes of whatever passes through a model"
    shapes = []
    def see(module, args):
        if isinstance(module, Block): shapes.append(tuple(args[0].shape))
    hook = torch.nn.modules.module.register_module_forward_pre_hook(see)
    try: yield shapes
    finally: hook.remove()

def spoil(run, bad):
    "The loss of some steps becomes what a bad batch would make of it, once"
    loss,left = run.loss_fn,dict(bad)
    update = type(run).update
    def spoilt(x, y, reduction='sum'): return loss(x, y, reduction=reduction)*run.factor
    def one():
        run.factor = left.pop(run.n_step+1, 1.)
        try: return update(run)
        finally: run.factor = 1.
    run.factor,run.loss_fn,run.update = 1.,spoilt,one

def records(path):
    "Records of a log without the times in them"
    if not path.exists(): return []
    rows = [json.loads(l) for l in path.read_text(encoding='utf-8').splitlines()]
    return [{k: v for k,v in r.items() if k not in TIMES} for r in rows]

def weights(out):
    path = newest_checkpoint(out/'checkpoints')[0]
    return path and hashlib.sha256((path/'model.safetensors').read_bytes()).hexdigest()

def files(out): return sorted(str(p.relative_to(out)) for p in out.rglob('*') if p.is_file())

def told(lines):
    "The peak, the preflight, and the lines of progress; without the times that no two runs share"
    return [m[0].strip() for l in lines for m in re.finditer(r'^ *\d+/\d+|^preflight|\bpeak \S+', l)]

def outcome(out, keys, bad=(), capsys=None):
    "Everything that a run leaves or says"
    said,end = [],''
    with seen_shapes() as shapes:
        run = Run(None, out=str(out), say=said.append, **keys)
        if bad: spoil(run, bad)
        try: run.fit()
        except FloatingPointError as e: end = str(e)
    run.saver.join()
    bar = capsys.readouterr().out.splitlines() if capsys else []
    return dict(weights=weights(out), log=records(out/'metrics.jsonl'), samples=records(out/'samples.jsonl'),
                files=files(out), shapes=shapes, said=told(said+bar), end=end)

@pytest.fixture(scope='module')
def known(): return {}

@pytest.fixture
def run_of(here, known, monkeypatch, capsys):
    "The outcome of a run with some keys; each is made once"
    monkeypatch.chdir(here)
    monkeypatch.setattr(Run, 'finish', Run.settle)   # no plot, on which no key acts; a page that is being written ends
    def get(bad=(), again=0, **keys):
        name = hashlib.sha256(repr((sorted(keys.items()), bad, again)).encode()).hexdigest()[:12]
        if 'train.init' in keys and not (here/'begun').exists(): outcome(here/'begun', BASE)   # to begin with
        if name not in known: known[name] = outcome(here/'runs'/name, BASE | keys, bad, capsys)
        return known[name]
    return get

@pytest.mark.parametrize('r', ROWS, ids=str)
def test_key_acts(r, run_of):
    base = dict(r.base)
    assert base.get(r.key, BASE.get(r.key, dict(flat(to_dict(Config())))[r.key]))!=r.value, 'nothing is changed'
    was,now = run_of(r.bad, **base),run_of(r.bad, **base | {r.key: r.value})
    assert was[r.sees]!=now[r.sees], f'{r.key} = {r.value!r} changes nothing in {r.sees}'
    if r.sees in ('samples','files','shapes','said') and r.key!='train.micro_rows':
        assert was['weights']==now['weights'], f'{r.key} changes what is learnt'

@pytest.mark.parametrize('base,bad', sorted({(r.base, r.bad) for r in ROWS}, key=repr), ids=repr)
def test_nothing_changed_is_nothing_changed(base, bad, run_of):
    "The same keys give the same everything; or the test above would see changes everywhere"
    assert run_of(bad, **dict(base))==run_of(bad, again=1, **dict(base))


# What a run reads: where documents differ, so do their fingerprints, or tokens would be used again that are of others

def side(cfg, name):
    "Documents of one side, or why there are none; and their fingerprint"
    try: docs = [*split_documents(cfg.data, name, Skipped())]
    except CorpusError as e: docs = str(e)
    return docs,corpus_fingerprint(cfg.data, name)

SPLIT = {'data.valid': []}
DATA = [
    row('data.train', ['part.jsonl']), row('data.valid', ['other.txt']), row('data.valid_frac', .3, data__valid=[]),
    row('data.split_min_docs', 1000, data__valid=[], data__split_min_docs=1), row('data.text_key', 'body'),
    row('data.separator', 'less'), row('data.sources', True, data__train=['embedded']),
    row('data.on_error', 'skip', data__train=['broken.jsonl']), row('data.formats', ['.txt'], data__train=['mixed']),
    row('data.max_doc', 60, data__on_error='skip'), row('data.max_expand', 2000, data__train=['padded.jsonl.gz']),
]

@pytest.fixture
def corpus(here, monkeypatch):
    "More files beside those that all runs read; of the text that every Python carries, a little"
    import pretrain.data.corpus as C
    monkeypatch.setattr(C, 'embedded_documents', lambda sources: iter(['import os' if sources else 'Opens a file.']))
    monkeypatch.chdir(here)
    lines = (here/'train.jsonl').read_text().splitlines()
    (here/'part.jsonl').write_text('\n'.join(lines[:200]))
    (here/'broken.jsonl').write_text('\n'.join([*lines[:100], '{"text": 1}', *lines[100:]]))
    (here/'other.txt').write_text('The number 7 is less than 12.')
    (here/'mixed').mkdir(exist_ok=True)
    for name in ('part.jsonl','other.txt'): (here/'mixed'/name).write_bytes((here/name).read_bytes())
    padding = (b' '*2**20+b'\n')*80   # blank lines that grow a thousandfold
    data,packed = (here/'part.jsonl').read_bytes()+b'\n'+padding,here/'padded.jsonl.gz'
    if not packed.exists(): packed.write_bytes(gzip.compress(data, mtime=0))

@pytest.mark.parametrize('r', DATA, ids=str)
def test_other_documents_have_another_fingerprint(r, corpus):
    base = BASE | dict(r.base)
    was,now = (load_config(None, keys) for keys in (base, base | {r.key: r.value}))
    pairs = [(side(was, name), side(now, name)) for name in ('train','valid')]
    assert any(a[0]!=b[0] for a,b in pairs), f'{r.key} = {r.value!r} changes no document'
    assert [a[1]!=b[1] for a,b in pairs if a[0]!=b[0]]==[True for a,b in pairs if a[0]!=b[0]], r.key
    assert [side(was, name) for name in ('train','valid')]==[a for a,_ in pairs]

# The vocabulary, and how tokens are kept

VOCABULARY = [row('tokenizer.vocab_size', 320), row('tokenizer.pattern', r'\p{L}+|\s+|[^\s\p{L}]'),
              row('tokenizer.max_chars', 500), row('tokenizer.doc_cap', 5), row('tokenizer.path', 'saved')]

@pytest.mark.parametrize('r', VOCABULARY, ids=str)
def test_another_vocabulary(r, corpus, here):
    cfgs = [load_config(None, BASE | new) for new in ({'tokenizer.vocab_size': 310}, {}, {r.key: r.value})]
    toks = lambda cfg: get_tokenizer(cfg.data, cfg.tokenizer, cfg.prepare, say=lambda _: None)
    toks(cfgs[0]).save(here/'saved')
    assert toks(cfgs[1]).fingerprint!=toks(cfgs[2]).fingerprint

def shards(cfg):
    tok = get_tokenizer(cfg.data, cfg.tokenizer, cfg.prepare, say=lambda _: None)
    return prepare(cfg.data, tok, cfg.prepare, 'train', say=lambda _: None)

def test_shard_chars(corpus, here):
    "More files of the same tokens"
    got = {n: shards(load_config(None, BASE | {'prepare.cache': f'of-{n}', 'prepare.shard_chars': n}))
           for n in (1000, 10**6)}
    assert got[1000].fingerprint==got[10**6].fingerprint
    few,many = (len([*(here/f'of-{n}'/'tokens').rglob('*.bin')]) for n in (10**6, 1000))
    assert 0<few<many

def test_verify(corpus, here):
    "A token that changed on the disk is noticed where tokens are verified, and else not"
    keys = BASE | {'prepare.cache': 'turned'}
    shards(load_config(None, keys))
    path = max((here/'turned/tokens').rglob('*.bin'), key=lambda p: p.stat().st_size)
    raw = bytearray(path.read_bytes())
    raw[0],raw[2] = raw[2],raw[0]
    path.write_bytes(raw)
    shards(load_config(None, keys | {'prepare.verify': False}))
    assert path.read_bytes()==raw
    with pytest.warns(UserWarning, match='making it again'): shards(load_config(None, keys))
    assert path.read_bytes()!=raw

# The preflight, on a run that has just begun

FULL = dict(short=False, overfit=True)
PREFLIGHT = [
    (row('preflight.docs', 3), {}, 'round trip'), (row('preflight.full_docs', 3), FULL, 'round trip'),
    (row('preflight.rows', 4), dict(short=False), 'shift'), (row('preflight.init_tol', 1e-6), {}, 'loss'),
    (row('preflight.copied', .5), FULL, 'copied'), (row('preflight.overfit_steps', 3), FULL, 'overfit'),
    (row('preflight.overfit_loss', 2.), FULL, 'overfit'), (row('preflight.seconds', 1e-9), {}, 'mask'),
]

@pytest.mark.parametrize('r,form,name', PREFLIGHT, ids=lambda o: o if isinstance(o, str) else '')
def test_preflight_keys(r, form, name, here, monkeypatch):
    monkeypatch.chdir(here)
    def look(**keys):
        run = Run(None, say=None, out=str(here/'looked'), **BASE | keys)
        return next(str(c) for c in run.check(**form).checks if c.name==name)
    assert look()==look()!=look(**{r.key: r.value})

# What a config of a run on the disk decides: how a failed save is tried again, what may differ, where it computes

def attempts(here, monkeypatch, **keys):
    "How often a save was tried that never works, and how long was waited each time"
    import pretrain.store.saver as S
    waits,tried = [],[]
    def fail(*_, **__):
        tried.append(1)
        raise S.CheckpointError('no') from OSError('no space')
    monkeypatch.setattr(S, 'save_checkpoint', fail)
    run = Run(None, say=None, out=str(here/'failing'), **BASE | keys)
    monkeypatch.setattr(run.saver.hurry, 'wait', lambda s=None: waits.append(s))
    with pytest.raises(S.CheckpointError): run.save()
    return len(tried),set(waits)

def test_retries(here, monkeypatch):
    monkeypatch.chdir(here)
    assert attempts(here, monkeypatch, **{'checkpoint.retries': 2, 'checkpoint.retry_s': .01})==(3, {.01})
    assert attempts(here, monkeypatch, **{'checkpoint.retries': 1, 'checkpoint.retry_s': .02})==(2, {.02})

def test_allow(here, monkeypatch):
    monkeypatch.chdir(here)
    def again(**keys): return Run(None, say=None, out=str(here/'allowed'), **BASE | keys)
    again().fit()
    with pytest.raises(ValueError, match='train.allow=seed'): again(seed=2)
    assert again(seed=2, **{'train.allow': ['seed']}).changed['seed']==[1,2]

def test_compile(here, monkeypatch):
    "Asked of torch, with the model's loss; what comes of it is torch's"
    monkeypatch.chdir(here)
    asked = []
    monkeypatch.setattr(torch, 'compile', lambda fn, **_: asked.append(fn) or fn)
    for on in (False, True): Run(None, say=None, out=str(here/f'compiled-{on}'), **BASE | {'train.compile': on}).step()
    assert len(asked)==1

def test_parallel_alone(here, monkeypatch):
    "One process says that there is nothing to share, and trains as it always does: tests/test_parallel.py has several"
    monkeypatch.chdir(here)
    said = []
    runs = [Run(None, say=said.append, out=str(here/f'alone-{how}'), **BASE | {'train.parallel': how}).fit()
            for how in ('auto', 'fsdp')]
    assert sum('fsdp acts on several processes' in o for o in said)==1
    assert all(map(torch.equal, *(r.model.state_dict().values() for r in runs)))

def test_limit(here, monkeypatch):
    "It reaches the watch of several processes, which tests/test_ranks_fail.py starts"
    import pretrain.build as B
    monkeypatch.chdir(here)
    asked,real = [],B.start_machine
    monkeypatch.setattr(B, 'start_machine', lambda *a: asked.append(a[-2]) or real(*a))
    for s in (600., 30.): Run(None, say=None, out=str(here/f'limit-{s}'), **BASE | {'train.limit_s': s})
    assert asked==[600., 30.]

def test_sharded():
    "Only under FSDP2, which tests/test_elastic.py has: which form a checkpoint takes"
    from types import SimpleNamespace
    from pretrain.model.blocks import ModelConfig
    from pretrain.model.gpt import GPT
    from pretrain.train.parallel import Parallel
    par = Parallel(GPT(ModelConfig(n_layer=1, n_head=1, width=8), 300))
    par.mode,parts = 'fsdp',[]
    for how in ('whole', 'auto', 'sharded'):
        par.join(SimpleNamespace(opts=[]), how)
        parts.append(par.in_parts)
    assert parts==[False, False, True]

def test_checkpoint_activations(here, monkeypatch):
    "Less is kept, and nothing else changes: nbs/train/parallel.ipynb measures it"
    import pretrain.train.parallel as P
    monkeypatch.chdir(here)
    again,real = [],P.checkpoint
    monkeypatch.setattr(P, 'checkpoint', lambda *a, **k: again.append(1) or real(*a, **k))
    runs = [Run(None, say=None, out=str(here/f'again-{on}'), **BASE | {'train.checkpoint_activations': on}).fit()
            for on in (False, True)]
    assert again and all(map(torch.equal, *(r.model.state_dict().values() for r in runs)))

def test_loss_chunk(here, monkeypatch):
    "Memory, not results: the logits of so many tokens exist at a time"
    import pretrain.model.loss as L
    monkeypatch.chdir(here)
    sizes,real = [],L.chunk_loss
    monkeypatch.setattr(L, 'chunk_loss', lambda x, *a, **k: sizes.append(len(x)) or real(x, *a, **k))
    run = Run(None, say=None, out=str(here/'chunks'), **BASE | {'model.loss_chunk': 8})
    run.update()
    assert max(sizes)==8

def test_repeat_decay(here, monkeypatch):
    "Of a run that reads its text again and again, from its first step on"
    monkeypatch.chdir(here)
    def first(power):
        keys = {'train.steps': 3000, 'optim.repeat_decay': power}
        run = Run(None, say=None, out=str(here/f'power-{power}'), **BASE | keys)
        run.update()
        return run.opt.groups[0]['weight_decay']
    assert first(1.)>first(.1)>first(0.)

def test_out_and_cache(here, monkeypatch):
    monkeypatch.chdir(here)
    Run(None, say=None, out='elsewhere', **BASE | {'prepare.cache': 'shelf'}).fit()
    assert newest_checkpoint(here/'elsewhere/checkpoints')[0] and any((here/'shelf').rglob('*.bin'))

def lines(monkeypatch, n, **keys):
    "Plain lines of a run whose steps take a second each"
    import pretrain.train.progress as P
    now,out = [0.],io.StringIO()
    monkeypatch.setattr(P.time, 'monotonic', lambda: now[0])
    with P.Progress(n, cfg=P.TrackConfig(**keys), mode='plain', out=out) as p:
        for i in range(1, n+1):
            now[0] += 1
            p.update(i, dict(loss=1.))
    return out.getvalue().count('\n')

def test_track_s(monkeypatch):
    "A line every so many seconds, whatever the number of steps; a live line is drawn as often as is asked"
    assert lines(monkeypatch, 100, log_every=100, log_s=50.)<lines(monkeypatch, 100, log_every=100, log_s=5.)

def test_redraw_s(monkeypatch):
    import pretrain.train.progress as P
    def drawings(redraw_s):
        now,out = [0.],io.StringIO()
        monkeypatch.setattr(P.time, 'monotonic', lambda: now[0])
        with P.Progress(100, cfg=P.TrackConfig(redraw_s=redraw_s), mode='terminal', out=out) as p:
            for i in range(1, 101):
                now[0] += .1
                p.update(i, dict(loss=1.))
        return out.getvalue().count('\r')
    assert drawings(5.)<drawings(.5)/2

def test_threads(here, monkeypatch):
    monkeypatch.chdir(here)
    n = torch.get_num_threads()
    try: assert Run(None, say=None, out=str(here/'two'), **BASE | {'train.threads': 2}).machine.place()['threads']==2
    finally: torch.set_num_threads(n)

OWN = """
import time
class Own:
    def start(self, info): (info.folder/'told').write_text(f'{info.project} {info.name} {info.group}')
    def row(self, step, numbers): pass
class Hangs:
    def row(self, step, numbers): time.sleep(1000)
"""

def test_track_keys(tmp_path):
    "A tracker is told of project, name and group; one that hangs is waited for as long as was said"
    from pretrain.train.track.beside import send
    (tmp_path/'own.py').write_text(OWN)
    (tmp_path/'metrics.jsonl').write_text('{"step": 1, "loss": 2.5}\n')
    def told(sink='Own', **keys):
        cfg = load_config(None, **{f'track.{k}': v for k,v in dict(to=[f'{tmp_path}/own.py:{sink}'], **keys).items()})
        said = []
        send(tmp_path, cfg.track, {}, say=said.append)
        path = tmp_path/'track/own-Own/told'
        return path.read_text() if sink=='Own' else said[-1]
    assert not (tmp_path/'track').exists()
    assert told()==f'pretrain {tmp_path.name} '
    assert told(project='p', name='n', group='g')=='p n g'
    assert 'then 0.5 s were over' in told('Hangs', grace_s=.5)

SHOWN = {   # by a test of its own
    'prepare.shard_chars': test_shard_chars, 'prepare.verify': test_verify, 'checkpoint.retries': test_retries,
    'checkpoint.retry_s': test_retries, 'checkpoint.sharded': test_sharded, 'train.limit_s': test_limit,
    'train.allow': test_allow, 'train.compile': test_compile,
    'train.parallel': test_parallel_alone, 'train.checkpoint_activations': test_checkpoint_activations,
    'model.loss_chunk': test_loss_chunk, 'optim.repeat_decay': test_repeat_decay,
    'out': test_out_and_cache, 'prepare.cache': test_out_and_cache,
    'track.log_s': test_track_s, 'track.redraw_s': test_redraw_s,
    **{f'track.{k}': test_track_keys for k in ('to', 'project', 'name', 'group', 'grace_s')},
    'train.threads': test_threads,
}
PLACE = {   # acts on nothing that is trained or measured
    'prepare.workers': 'how many threads make the same tokens: nbs/data/prepare.ipynb',
    'train.minutes': 'the clock ends the run: tests/test_budget.py',
    'train.device': 'which device computes; another than the CPU is not everywhere: nbs/train/machine.ipynb',
}

def test_every_key_has_a_row():
    "A key that is new says here what it acts on; one that is gone leaves"
    rows = [r.key for r in (*ROWS, *DATA, *VOCABULARY)]+[r.key for r,_,_ in PREFLIGHT]+[*SHOWN]+[*PLACE]
    assert sorted(set(rows))==sorted(KEYS), set(rows)^set(KEYS)
    assert len(rows)==len(set(rows))
