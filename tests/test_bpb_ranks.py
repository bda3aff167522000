"""`pretrain.eval.bpb` in real processes started by torchrun, which a notebook kernel cannot be."""
import json
import pytest
from helpers import on_ranks

SCRIPT = '''
import json, sys, torch
import torch.nn.functional as F
from dataclasses import asdict
from pathlib import Path
from pretrain.eval.bpb import bpb_of
from pretrain.base.dist import cleanup, rank, setup, world
from pretrain.data.shards import Tokens

setup('cpu')
g = torch.Generator().manual_seed(0)
V,docs = 50,[[0, *torch.randint(1, 50, (n,), generator=g).tolist()] for n in (300, 7, 1, 41, 160)]
emb,head = torch.randn(V, 16, generator=g),torch.randn(16, V, generator=g)
n_bytes,calls = [0, *(1+i%6 for i in range(V-1))],[]

def loss_fn(ids, targets):
    calls.append(tuple(ids.shape))
    h = emb[ids].cumsum(1)/torch.arange(1, ids.shape[1]+1).sqrt()[:,None]
    return F.cross_entropy((h@head).flatten(0,1), targets.flatten(), ignore_index=-1, reduction='none').view_as(ids)

before = torch.get_rng_state()
out = [asdict(bpb_of(loss_fn, Tokens.from_docs(docs, V), n_bytes, T, rows, n_tok, rank(), world()))
    for T,rows,n_tok in ((16,4,0), (16,5,333), (64,3,0), (1000,2,0), (7,1,100))]
assert torch.equal(torch.get_rng_state(), before)
Path(sys.argv[1], f'{world()}_{rank()}.json').write_text(json.dumps(dict(out=out, calls=calls)))
cleanup()
'''

def run(folder, n):
    "What each of `n` processes got"
    (folder/'script.py').write_text(SCRIPT)
    p = on_ranks(folder/'script.py', folder, n=n)
    _,err = p.communicate(timeout=200)
    assert p.returncode==0, err[-3000:]
    return [json.loads((folder/f'{n}_{r}.json').read_text()) for r in range(n)]

@pytest.mark.parametrize('n', [2, 3])
def test_same_bpb_on_any_number_of_ranks(tmp_path, n):
    one,many = run(tmp_path, 1)[0]['out'],run(tmp_path, n)
    for r in many:
        assert r['out']==many[0]['out'], 'the ranks disagree'
        assert r['calls']==many[0]['calls'], 'a rank makes other calls than the rest'
    for a,b in zip(one, many[0]['out']):
        assert (a['n_tok'], a['n_bytes'])==(b['n_tok'], b['n_bytes'])
        assert a['bpb']==pytest.approx(b['bpb'], abs=1e-6) and a['loss']==pytest.approx(b['loss'], abs=1e-6)
