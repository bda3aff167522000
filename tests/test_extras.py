"""Every switch of the architecture under everything that reads a model: cache, generation, some positions only, shared
beginnings, checks before a run, counts, export and import. In tests/, since it is one battery over all switches and
many chapters; a switch of `ModelConfig` that no row turns on fails."""
import copy, math
from dataclasses import replace
from types import SimpleNamespace
import pytest, torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from pretrain.eval.check_model import check_causal, check_grads, check_loss
from pretrain.eval.core.score import Branches, Tree
from pretrain.export.apertus import export_apertus
from pretrain.export.gguf import export_gguf
from pretrain.export.nanochat import export_hf
from pretrain.model.blocks import ModelConfig
from pretrain.model.cost import flops_per_token, param_counts
from pretrain.model.extras import SWITCHES, switches
from pretrain.model.generate import generate_batch
from pretrain.model.gpt import GPT
from pretrain.model.optim import OptimConfig, build_optim, split_params

V,T = 97,24
BASE = ModelConfig(seq_len=T, n_layer=3, n_head=4, width=32, init_out=.5)
ONES = [dict(resid_scalars=True), dict(x0_scalars=True), dict(value_embed='alternate'), dict(value_embed='all'),
        dict(value_embed='all', value_gate=3.), dict(value_residual=True), dict(qk_scale=1.2), dict(post_norm=True),
        dict(attn_gate=True), dict(smear=True), dict(backout=True), dict(bigram=53)]
ALL = {k: v for one in ONES for k,v in one.items()}
ROWS = [{}, *ONES, ALL, ALL | dict(n_kv_head=2, window=5), ALL | dict(n_layer=2, n_head=1),
        ALL | dict(width=8, n_head=2)]

def name(row): return '+'.join(f'{k}={v}' for k,v in row.items()) if row and len(row)<3 else f'{len(row)} keys'
every = pytest.mark.parametrize('row', ROWS, ids=name)

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
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as count:
        torch.nn.functional.cross_entropy(m(ids()).flatten(0,1), ids().flatten(), reduction='sum').backward()
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
