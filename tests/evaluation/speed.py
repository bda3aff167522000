"How much sooner is the answer there than one question at a time?"
import statistics, time
from contextlib import contextmanager
from dataclasses import replace
import torch
from _core import HERE, Row, compare, experiment
from _plain import answer, answer_together, asked
from pretrain.base.config import read_config
from pretrain.eval.core.evaluate import evaluate_core
from pretrain.model.gpt import GPT
from pretrain.build import Config

THREADS,FACTOR = 2,4   # threads of all sides and how many times as fast at least, both with a real bundle
VOCAB = 32768          # tokens of the vocabulary, as in configs/depth_base.toml
SLOW = dict(one='one option at a time', together='one example at a time, its options padded to one batch')

@contextmanager
def threads(n):
    "Compute with `n` threads"
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try: yield
    finally: torch.set_num_threads(before)

def counted(model):
    "Count the tokens that a model reads and the positions whose logits it makes"
    n = dict(tokens=0, logits=0)
    def embed(_, args): n['tokens'] += args[0].numel()
    def head(_, args): n['logits'] += args[0].numel()//args[0].shape[-1]
    hooks = [model.embed.register_forward_pre_hook(embed), model.head.register_forward_pre_hook(head)]
    return n,hooks

def timed(fn, model):
    "What it returns, seconds, and what the model was made to compute"
    n,hooks = counted(model)
    t = time.perf_counter()
    res = fn()
    t = time.perf_counter()-t
    for h in hooks: h.remove()
    return res,t,n

@experiment
def speed(lab):
    "The model of configs/d4.toml, side by side with two plain loops over the same prompts"
    tok = lab.tokenizer(VOCAB) if lab.real else lab.tok
    cfg = read_config(Config, HERE.parents[1]/'configs/d4.toml').model
    cfg = replace(cfg, init_head=.5, init_out=1.)   # as configured, but with opinions
    torch.manual_seed(lab.seed)
    model = GPT(cfg, tok.vocab_size).eval()
    most,crop = lab.some,cfg.seq_len
    def fast(): return evaluate_core(model, tok, lab.bundle, most, crop).examples
    def loop(judge):
        def all_of(t): return asked(lab.bundle, t, tok.encode, tok.bos, most, crop)
        return lambda: [judge(e, model) for t in lab.tasks for e in all_of(t)]
    one,together = loop(answer),loop(answer_together)
    # side by side, so that all meet the same weather
    order = [('fast',fast), ('one',one), ('fast',fast), ('together',together), ('fast',fast)]
    seen,took,work = {},{},{}
    with threads(THREADS if lab.real else 1), torch.no_grad():
        for name,fn in order:
            seen[name],t,work[name] = timed(fn, model)
            took.setdefault(name, []).append(t)
    took = {k: statistics.median(v) for k,v in took.items()}
    held,worst,first = compare(seen['fast'], seen['one'])
    oracle = Row('model of configs/d4.toml: as the plain oracle, example by example', len(seen['one']), held,
                 f'{lab.asked_of(most)}; largest difference of a mean loss {worst:.1e} nats{first}')
    return [oracle] + [against(lab, name, took, work, tok.vocab_size) for name in SLOW]

def against(lab, name, took, work, V):
    "A slow way beside the fast one: times with a real bundle, with a tiny one only what had to be computed"
    slow,fast = work[name],work['fast']
    ratio = took[name]/took['fast']
    note = (f'{took[name]:.1f} s against {took["fast"]:.1f} s with threads={THREADS if lab.real else 1}: '
            f'{ratio:.1f} times as fast; tokens read {slow["tokens"]:,} against {fast["tokens"]:,}, '
            f'positions with logits {slow["logits"]:,} against {fast["logits"]:,}; vocabulary {V:,}')
    if lab.real:
        promise = f'at least {FACTOR} times as fast as {SLOW[name]}, with all logits'
        return Row(promise, 1, int(ratio>=FACTOR), note)
    return Row(f'fewer tokens and logits than {SLOW[name]}', 2, sum(fast[k]<slow[k] for k in ('tokens','logits')), note)
