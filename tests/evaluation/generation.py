"Does the cache change what is written, and how much sooner is it written?"
import random, statistics, time
import torch
from _core import Row, experiment, small_gpt
from pretrain.model.generate import generate, generate_batch
from pretrain.model.gpt import GPT
from pretrain.model.cache import KVCache
from pretrain.model.blocks import ModelConfig

V,T = 300,24                                  # vocabulary and context of the small models [tokens]
KINDS = [dict(n_kv_head=k, window=w) for k in (4,2,1) for w in (0,1,7)]
PAIRS,CLOSE = 200,1e-5                        # random pairs of prompt and setting; largest difference of logits
N,ROWS,EACH,ROUNDS = 256,8,64,5               # new tokens with and without cache; rows together, new tokens in each; times that each is measured
FASTER,TOGETHER = 5,4                         # how many times as fast at least
SIZES = {'default': ModelConfig(), 'depth 4': ModelConfig(n_layer=4, width=256, n_head=2), 'depth 8': ModelConfig(n_layer=8, width=512, n_head=4)}
VOCAB = 4096                                  # of the models that are timed [tokens]

@torch.no_grad()
def plainly(model, ids, n):
    "The best token, again and again, everything read anew each time; beyond the context the second half of the text goes on"
    seen,res = list(ids[-model.cfg.seq_len:]),[]
    for _ in range(n):
        if len(seen)>model.cfg.seq_len: seen = seen[-(model.cfg.seq_len//2):]
        res.append(model(torch.tensor([seen]))[0,-1].argmax().item())
        seen.append(res[-1])
    return res

def models(seed):
    "One of each kind, with weights that have opinions"
    torch.manual_seed(seed)
    return [small_gpt(V, seq_len=T, **kw) for kw in KINDS]

@experiment
def generation(lab):
    "The cached way to write against full forward passes"
    rnd,ms = random.Random(lab.seed),models(lab.seed)
    same = far = 0
    for _ in range(PAIRS):
        m,ids,n = rnd.choice(ms),[rnd.randrange(V) for _ in range(rnd.randint(1, 2*T))],rnd.randint(1, 2*T)
        same += generate(m, ids[-T:], n, temperature=0)==plainly(m, ids, n)
    ids = torch.randint(0, V, (3,T), generator=torch.Generator().manual_seed(lab.seed))
    for m in ms:
        cache = KVCache(m.cfg, len(ids), T)
        with torch.no_grad(): far = max(far, (torch.cat([m(i, cache) for i in ids.split(1, 1)], 1)-m(ids)).abs().max().item())
    rows = [Row('temperature 0: token for token what full forward passes give', PAIRS, same, f'random prompts, lengths and {len(KINDS)} settings of grouped heads and window, within and beyond the context of {T}'),
            Row('logits of the cache equal those of a full forward pass, at every position', len(KINDS), len(KINDS)*(far<=CLOSE), f'largest difference {far:.1e}')]
    return rows + [r for name in (SIZES if lab.full else [*SIZES][:1]) for r in speed(name, lab)]

def speed(name, lab):
    "Two ratios of times, each the median of some rounds"
    torch.manual_seed(lab.seed)
    model,(n,each,rounds) = GPT(SIZES[name], VOCAB).eval(),(N,EACH,ROUNDS) if lab.full else (N//8,EACH//8,1)
    def secs(f): t = time.perf_counter(); f(); return time.perf_counter()-t
    prompts = [[r] for r in range(ROWS)]
    ways = [lambda: plainly(model, [0], n), lambda: generate(model, [0], n, temperature=0), lambda: [generate(model, p, each) for p in prompts], lambda: generate_batch(model, prompts, each)]
    ways[1]()
    slow,fast,one,many = (statistics.median(t) for t in zip(*[[secs(f) for f in ways] for _ in range(rounds)]))
    note = f'{name}: {model.cfg.n_layer} layers of {model.cfg.width}, vocabulary {VOCAB:,}, threads={torch.get_num_threads()}, median of {rounds}'
    least = (FASTER,TOGETHER) if lab.full else (1,1)   # a short measurement only shows that it can be made
    return [Row(f'{n} new tokens: at least {least[0]} times as fast as full forward passes', 1, int(slow/fast>=least[0]), f'{slow/fast:.1f} times ({1000*fast/n:.2f} ms a token); {note}'),
            Row(f'{ROWS} rows together: at least {least[1]} times as fast as one by one', 1, int(one/many>=least[1]), f'{one/many:.1f} times')]
