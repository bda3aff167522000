"""Every switch of the architecture under everything that reads a model: cache, generation, some positions only, shared
beginnings, checks before a run, counts, export and import. In tests/, since it is one battery over all switches and
many chapters; a switch of `ModelConfig` that no row turns on fails. `python tests/test_extras.py` tries every switch
under every promise; pytest, all of them together."""
import copy, json, math, os, runpy, sys
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
import pytest, torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from pretrain.build import Run, load_config, load_model
from pretrain.eval.check_model import check_causal, check_grads, check_loss
from pretrain.eval.core.score import Branches, Scorer, Tree
from pretrain.eval.core.tasks import encode_example, read_bundle, write_bundle
from pretrain.export.apertus import export_apertus
from pretrain.export.gguf import export_gguf
from pretrain.export.nanochat import export_hf
from pretrain.model.blocks import ModelConfig
from pretrain.model.cost import flops_per_token, param_counts
from pretrain.model.extras import SWITCHES, switches
from pretrain.model.generate import generate_batch
from pretrain.model.gpt import GPT
from pretrain.model.optim import OptimConfig, build_optim, split_params

ROOT = Path(__file__).resolve().parents[1]
V,T = 97,24
BASE = ModelConfig(seq_len=T, n_layer=3, n_head=4, width=32, init_out=.5)
ONES = [dict(resid_scalars=True), dict(x0_scalars=True), dict(value_embed='alternate'), dict(value_embed='all'),
        dict(value_embed='all', value_gate=3.), dict(value_residual=True), dict(qk_scale=1.2), dict(post_norm=True),
        dict(attn_gate=True), dict(smear=True), dict(backout=True), dict(bigram=53)]
ALL = {k: v for one in ONES for k,v in one.items()}
ROWS = [{}, *ONES, ALL, ALL | dict(n_kv_head=2, window=5), ALL | dict(n_layer=2, n_head=1),
        ALL | dict(width=8, n_head=2)]
SHORT = [ALL, ALL | dict(n_kv_head=2, window=5)]
FULL = 'EXTRAS_FULL'  # in the environment: all rows

def name(row): return '+'.join(f'{k}={v}' for k,v in row.items()) if row and len(row)<3 else f'{len(row)} keys'
every = pytest.mark.parametrize('row', ROWS if FULL in os.environ else SHORT, ids=name)

def born(row, seed=0):
    torch.manual_seed(seed)
    return GPT(replace(BASE, **row), V)

def shaken(row):
    "A model whose every part matters"
    m = born(row).eval()
    with torch.no_grad():
        for p in m.parameters(): p.add_(.3*torch.randn_like(p))
    return m

def ids(B=3, n=T): return torch.randint(0, V, (B,n), generator=torch.Generator().manual_seed(5))
def close(a, b, eps=2e-5): assert (a-b).abs().max()<=eps*max(1, b.abs().max()), (a-b).abs().max()

def test_no_switch_is_forgotten():
    assert set(SWITCHES)==set(ALL), 'a switch without a row here, or a row without a switch'
    assert switches(replace(BASE, **ALL))==list(SWITCHES) and switches(BASE)==[]

@pytest.mark.parametrize('row', ONES, ids=name)
def test_a_switch_acts(row):
    "Also when all parameters that both have are the same"
    plain,m = shaken({}),shaken(row)
    m.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad(): assert (m(ids())-plain(ids())).abs().max()>1e-3

@every
@torch.no_grad()
def test_in_pieces(row):
    "With a cache, rows in pieces, and rows of different lengths; some positions only"
    m,x = shaken(row),ids()
    whole,cache = m(x),m.new_cache(3, T)
    close(torch.cat([m(p, cache) for p in x.split([1,6,1,1,10,5], 1)], 1), whole)
    cache,lens = m.new_cache(3, T),[4,9,1]
    m.hidden(x[:,:9], cache)
    cache.lens = lens
    rest = torch.stack([row[n:n+8] for row,n in zip(x, lens)])
    close(m(rest, cache), torch.stack([row[n:n+8] for row,n in zip(whole, lens)]))
    at = torch.tensor([[0,T-1,7], [3,3,2], [T-1,T-2,0]])
    some = torch.stack([row[a] for row,a in zip(m.hidden(x), at)])
    close(m.hidden(x, only=at), some)
    cache = m.new_cache(3, T)
    close(m.hidden(x[:,:-1], cache, at.clamp(max=T-2))[1,0], m.hidden(x[:,:-1])[1,3])
    close(m(x[:,-1:], cache), whole[:,-1:])

@every
@torch.no_grad()
def test_generation(row):
    "Row by row, side by side, past the end of what it reads; each equal to reading everything anew"
    m,prompts = shaken(row),[[5,6,7], [1], [9]*11]
    found = generate_batch(m, prompts, 30, temperature=0)
    for p,got in zip(prompts, found):
        text = list(p)
        for new in got:
            if len(text)>T: break
            assert m(torch.tensor([text]))[0,-1].argmax()==new or len(text)==T
            text.append(new)
    assert found==[generate_batch(m, [p], 30, temperature=0)[0] for p in prompts]

@every
@torch.no_grad()
def test_shared_beginnings(row):
    "Several continuations side by side, as CORE asks for them"
    m,x = shaken(row),ids(2, 16)
    cache = m.new_cache(2, T)
    m.hidden(x[:,:8], cache)
    cache.lens = [8,5]
    found = m.hidden(x[:,8:13], Branches(cache, [[3,2],[4]]))
    def alone(*parts): return m.hidden(torch.cat(parts)[None])[0]
    close(found[0,:3], alone(x[0,:11])[8:])
    close(found[0,3:], alone(x[0,:8], x[0,11:13])[8:])
    close(found[1,:4], alone(x[1,:5], x[1,8:12])[5:])
    if m.cfg.window: return   # trees are for models without one
    tree = m.hidden(x[:,:9], Tree([[4,3,2],[0,3,6]]))
    close(tree[0,:7], alone(x[0,:7]))
    close(tree[0,7:], alone(x[0,:4], x[0,7:9])[4:])
    close(tree[1,3:], alone(x[1,3:9]))

@every
def test_core_shares_beginnings(row, tmp_path):
    "The scores of CORE's prompts are those of each read alone"
    rows = [dict(query=f'{i} or {i+1}', choices=['less','more','equal'], gold=i%3) for i in range(6)]
    path = write_bundle(tmp_path, [dict(label='ask', kind='multiple_choice', shots=1, baseline=50, rows=rows)])
    task, = read_bundle(path)
    tok = SimpleNamespace(bos=0, encode=lambda text: [1+b%(V-1) for b in text.encode()])
    def scores(share):
        questions = [encode_example(task, i, tok) for i in range(6)]
        Scorer(shaken(row), share=share).score(questions)
        return torch.tensor([l for q in questions for o in q for l in o.losses])
    close(scores(True), scores(False))

@every
def test_checks_before_a_run(row):
    "The first loss is ln V; nothing is seen of what follows, nor of other rows; every parameter gets a gradient"
    m,x = born(row),ids(4, T+1)
    x,y = x[:,:-1],x[:,1:]
    for check in (lambda: check_loss(m.loss, x, y, V, .02), lambda: check_causal(m, m.loss, x, y, [1,7,T-1]),
                  lambda: check_grads(m, m.loss, x, y)):
        ok,found,wanted = check()
        assert ok, (found, wanted)
    m = shaken(row)
    with torch.no_grad(): close(m(x), torch.cat([m(r[None]) for r in x]))

@every
def test_counts(row):
    "Parameters as built, FLOPs as torch counts them, each parameter in one group"
    c = replace(BASE, **row)
    m,n = GPT(c, V),param_counts(c, V)
    assert n['total']==sum(p.numel() for p in m.parameters())==sum(v for k,v in n.items() if k!='total')
    with torch.device('meta'): twin,x = GPT(c, V),torch.zeros(3, T, dtype=torch.int64)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as count:
        torch.nn.functional.cross_entropy(twin(x).flatten(0,1), x.flatten(), reduction='sum').backward()
    seen = count.get_total_flops()/(3*T)
    if c.window: c = replace(c, window=0)   # the counter sees the hidden pairs, too
    assert abs(flops_per_token(c, V)/seen-1)<.01
    groups = {k: [n for n,_ in ps] for k,ps in split_params(m).items()}
    assert sum(map(len, groups.values()))==len(list(m.parameters()))
    tables = [n for n,p in m.named_parameters() if n.endswith(('table.weight', 'pairs.weight'))]
    assert set(tables)<=set(groups['embedding'])

@pytest.mark.parametrize('matrix,row', [('muon',{}), ('muon',ALL), ('adamw',ALL)])
def test_it_learns(matrix, row):
    "One batch by heart, twice the same"
    x = ids(2, T+1)
    def train():
        m = born(row)
        opt,losses = build_optim(m, OptimConfig(matrix=matrix, lr=.01)),[]
        for _ in range(25):
            loss = m.loss(x[:,:-1], x[:,1:])
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        return losses
    losses = train()
    assert losses[-1]<.7*math.log(V) and losses==train()

@every
def test_bfloat16(row):
    "In lower precision the function stays, and gradients are float32"
    m,x = shaken(row),ids(2, T+1)
    full = m.loss(x[:,:-1], x[:,1:]).item()
    m.precision = torch.bfloat16
    loss = m.loss(x[:,:-1], x[:,1:])
    loss.backward()
    assert abs(loss.item()/full-1)<.05 and {p.grad.dtype for p in m.parameters()}=={torch.float32}
    with torch.no_grad():
        cache = m.new_cache(2, T)
        parts = torch.cat([m(p, cache) for p in x[:,:-1].split([1,16,7], 1)], 1)
    assert (parts-m(x[:,:-1])).abs().mean()<.1

def test_same_first_weights():
    "What plain form and extras share is drawn alike, so that two forms can be compared from one start"
    torch.manual_seed(3)
    plain = GPT(BASE, V)
    torch.manual_seed(3)
    plain.init_weights()
    rich = GPT(replace(BASE, **ALL), V)
    torch.manual_seed(3)
    rich.init_weights()
    state = rich.state_dict()
    assert all(torch.equal(w, state[k]) for k,w in plain.state_dict().items())

def test_copies_and_states():
    "A model with everything on, saved and loaded, and copied"
    m = shaken(ALL)
    twin,other = copy.deepcopy(m),born(ALL, seed=1).eval()
    other.load_state_dict(m.state_dict())
    with torch.no_grad(): assert torch.equal(m(ids()), twin(ids())) and torch.equal(m(ids()), other(ids()))

KEYS = {'tokenizer.vocab_size': 300, 'prepare.workers': 1, 'prepare.cache': 'cache', 'data.train': ['train.txt'],
        'data.valid': ['valid.txt'], 'loader.batch_rows': 4, 'schedule.warmup': 1, 'eval.every': 2,
        'optim.matrix': 'muon',
        'sample.prompts': [], 'train.steps': 4, 'train.device': 'cpu', 'train.threads': 1}

def test_runs(tmp_path, monkeypatch):
    "Interrupted and resumed, loaded, and begun with: a run with everything on"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Run, 'finish', lambda run: None)   # draws
    for part in ('train','valid'):
        (tmp_path/f'{part}.txt').write_text('\n\n'.join(f'The {part} {i}.' for i in range(200)))
    keys = KEYS | {f'model.{f.name}': getattr(replace(BASE, **ALL), f.name) for f in fields(BASE)}
    whole = Run(None, out='whole', say=None, **keys).fit()
    part = Run(None, out='part', say=None, **keys)
    part.step()
    part.save()
    part.saver.join()
    part = Run('part', say=None).fit()
    state = whole.model.state_dict()
    assert part.n_step==4 and all(torch.equal(w, state[k]) for k,w in part.model.state_dict().items())
    whole.saver.join()
    model,tok,cfg,_ = load_model('whole', 'cpu')
    assert switches(cfg.model)==list(SWITCHES) and switches(load_config('whole').model)==list(SWITCHES)
    with torch.no_grad(): assert torch.equal(model(ids() % tok.vocab_size), whole.model(ids() % tok.vocab_size))
    said = {k: v for k,v in KEYS.items() if not k.startswith('tokenizer')}
    begun = Run(None, out='begun', say=None, **said | {'train.init': 'whole', 'model.seq_len': T})
    assert switches(begun.cfg.model)==list(SWITCHES)
    assert all(torch.equal(w, state[k]) for k,w in begun.model.state_dict().items())
    with pytest.raises(ValueError, match='model.smear = False: the model of train.init has True'):
        Run(None, out='other', say=None, **said | {'train.init': 'whole', 'model.smear': False})

def test_variants_side_by_side(tmp_path, monkeypatch):
    "The command that compares variants: one that changes nothing is the base, bit for bit; what is there is kept"
    monkeypatch.chdir(tmp_path)
    for part in ('train','valid'):
        (tmp_path/f'{part}.txt').write_text('\n\n'.join(f'The {part} {i}.' for i in range(200)))
    (tmp_path/'variants.txt').write_text('# a comment\nthe same:\nx0: model.x0_scalars=true\n')
    arch = runpy.run_path(str(ROOT/'tests/bench/arch.py'))
    keys = KEYS | {'model.width': 16, 'model.n_head': 2, 'model.seq_len': 16, 'train.steps': 5,
                   'data.train': 'train.txt', 'data.valid': 'valid.txt', 'model.recipe': 'plain'}
    argv = ['variants.txt', *(f'{k}={json.dumps(v)}' for k,v in keys.items()), '--out', 'found.json']
    arch['main'](argv)
    found = json.loads((tmp_path/'found.json').read_text())
    base,same,x0,short = found['runs']
    assert (base['bpb'],base['curve'])==(same['bpb'],same['curve']) and base['bpb']!=x0['bpb'] and short['steps']==4
    assert base['curve'][0]==x0['curve'][0]==short['curve'][0] and [*found['ratios']]==['the same', 'x0']
    arch['main'](argv)
    assert json.loads((tmp_path/'found.json').read_text())['runs']==found['runs']

DOORS = dict(hf=(export_hf, ()), apertus=(export_apertus, ('qk_scale',)), gguf=(export_gguf, ('qk_scale',)))

@pytest.mark.parametrize('form', DOORS)
def test_export_refuses_by_name(form, tmp_path):
    "Each switch that a form does not know, in one line, before anything is written"
    fill,known = DOORS[form]
    for row in ONES:
        on = list(row)[-1]
        if on in known: continue
        parcel = SimpleNamespace(model=GPT(replace(BASE, **row), V))
        with pytest.raises(ValueError, match=f'model.{list(row)[0]} = .*run without .*model.{on} can be exported') as e:
            fill(parcel, tmp_path, check=False)
        assert '\n' not in str(e.value) and not list(tmp_path.iterdir())

if __name__=='__main__':
    os.environ[FULL] = '1'
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
