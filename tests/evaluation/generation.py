"Does the cache change what is written, and how much sooner is it written?"
import random, statistics, time
import torch
from _core import Row, experiment, small_gpt
from pretrain.model.generate import generate, generate_batch
from pretrain.model.gpt import GPT
from pretrain.model.cache import KVCache
from pretrain.model.blocks import ModelConfig

V,T = 300,24            # vocabulary and context of the small models [tokens]
KINDS = [dict(n_kv_head=k, window=w) for k in (4,2,1) for w in (0,1,7)]
PAIRS,CLOSE = 200,1e-5  # random pairs of prompt and setting; largest difference of logits
N = 256                 # new tokens with and without cache
ROWS,EACH = 8,64        # rows together, and new tokens in each
ROUNDS = 5              # times that each is measured
FASTER,TOGETHER = 5,4   # how many times as fast at least
VOCAB = 4096            # of the models that are timed [tokens]
SIZES = {'default': ModelConfig(),
         'depth 4': ModelConfig(n_layer=4, width=256, n_head=2),
         'depth 8': ModelConfig(n_layer=8, width=512, n_head=4)}

@torch.no_grad()
def plainly(model, ids, n):
    """The best token, again and again, everything read anew each time; beyond the context the second half of the text
    goes on"""
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
    ms = models(lab.seed)
    sizes = list(SIZES) if lab.full else list(SIZES)[:1]
    return [same_tokens(ms, lab.seed), same_logits(ms, lab.seed)] + [r for name in sizes for r in speed(name, lab)]

def same_tokens(ms, seed):
    "What is written from prompts shorter and longer than the context"
    rnd,same = random.Random(seed),0
    for _ in range(PAIRS):
        m = rnd.choice(ms)
        ids = [rnd.randrange(V) for _ in range(rnd.randint(1, 2*T))]
        n = rnd.randint(1, 2*T)
        same += generate(m, ids[-T:], n, temperature=0)==plainly(m, ids, n)
    note = (f'random prompts, lengths and {len(KINDS)} settings of grouped heads and window, '
            f'within and beyond the context of {T}')
    return Row('temperature 0: token for token what full forward passes give', PAIRS, same, note)

@torch.no_grad()
def same_logits(ms, seed):
    "One token after the other through the cache, and all at once without it"
    far = 0
    ids = torch.randint(0, V, (3,T), generator=torch.Generator().manual_seed(seed))
    for m in ms:
        cache = KVCache(m.cfg, len(ids), T)
        cached = torch.cat([m(i, cache) for i in ids.split(1, 1)], 1)
        far = max(far, (cached-m(ids)).abs().max().item())
    return Row('logits of the cache equal those of a full forward pass, at every position',
               len(KINDS), len(KINDS)*(far<=CLOSE), f'largest difference {far:.1e}')

def speed(name, lab):
    "Two ratios of times, each the median of some rounds"
    torch.manual_seed(lab.seed)
    model = GPT(SIZES[name], VOCAB).eval()
    n,each,rounds = (N,EACH,ROUNDS) if lab.full else (N//8,EACH//8,1)
    prompts = [[r] for r in range(ROWS)]
    def secs(f):
        t = time.perf_counter()
        f()
        return time.perf_counter()-t
    ways = [lambda: plainly(model, [0], n),
            lambda: generate(model, [0], n, temperature=0),
            lambda: [generate(model, p, each) for p in prompts],
            lambda: generate_batch(model, prompts, each)]
    ways[1]()   # to warm up
    slow,fast,one,many = (statistics.median(t) for t in zip(*[[secs(f) for f in ways] for _ in range(rounds)]))
    note = (f'{name}: {model.cfg.n_layer} layers of {model.cfg.width}, vocabulary {VOCAB:,}, '
            f'threads={torch.get_num_threads()}, median of {rounds}')
    faster,together = (FASTER,TOGETHER) if lab.full else (1,1)   # a short measurement only shows that it can be made
    return [Row(f'{n} new tokens: at least {faster} times as fast as full forward passes', 1, int(slow/fast>=faster),
                f'{slow/fast:.1f} times ({1000*fast/n:.2f} ms a token); {note}'),
            Row(f'{ROWS} rows together: at least {together} times as fast as one by one', 1, int(one/many>=together),
                f'{one/many:.1f} times')]
