"""What all experiments share: a bundle, a tokenizer made from its text, models small enough for a slow oracle, and how
two evaluations are compared"""
import json, math, sys, warnings
from functools import cached_property
from pathlib import Path
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
for p in (HERE.parent/'faults', HERE.parent): sys.path.insert(0, str(p))
from common import Row   # noqa: F401, for the experiments
from _plain import tasks_of
from pretrain.eval.core.tasks import write_bundle
from pretrain.model.gpt import GPT
from pretrain.model.blocks import ModelConfig
from pretrain.data.bpe import TokenizerConfig
from pretrain.data.tokenizer import train_tokenizer

TOL = 2e-5         # between mean losses [nats]
EXPERIMENTS = {}   # name: function of a `Lab` that returns rows

def experiment(fn):
    "Register an experiment under its name"
    EXPERIMENTS[fn.__name__] = fn
    return fn

NAMES = 'bim dol fep gur hax jol kip lum mox nev pol quz ryn'.split()
COLOURS = ['red','deep blue','deep green','pale yellow']
FOODS = ['moss','wild nuts','fish','old bread']
TWINS = [['red','red moss','fish'], ['red moss','red'], ['fish','fish']]   # empty spans, ties

def asks_colour(i, n): return dict(query=f'The colour of a {n} is', choices=COLOURS[:2+i%3], gold=i%2)

def asks_letter(i, n):
    menu = '\n'.join(f'{c}. {FOODS[(i+j)%4]}' for j,c in enumerate('ABCD'))
    return dict(query=f'What does a {n} eat?\n{menu}', choices=list('ABCD'), gold=i%4)

def asks_twins(i, n): return dict(query=f'{n} likes', choices=TWINS[i%3], gold=i%2)

def asks_who(i, a, b):
    ending,gold = ('had too much.',0) if i%2 else ('was hungry.',1)
    return dict(context_options=[f'The {a} fed the {b} as the {o}' for o in (a,b)], continuation=ending, gold=gold)

def asks_food(i, n): return dict(context=f'Question: What does a {n} eat? ', continuation=FOODS[i%4])

def asks_again(a, b):
    "A special token's name is text"
    return dict(context=f'  {a} <|bos|> {b} für {a}', continuation=f'<|bos|> {b}')

def tiny_bundle(path):
    "Thirteen rows of each: all three types, with shots and without, and every corner that the real data has"
    def of(ask): return [ask(i, n) for i,n in enumerate(NAMES)]
    who = [asks_who(i, a, b) for i,(a,b) in enumerate(zip(NAMES, NAMES[::-1]))]
    again = [asks_again(a, b) for a,b in zip(NAMES, NAMES[5:]+NAMES[:5])]
    choice,language = dict(kind='multiple_choice'),dict(kind='language_modeling')
    answer = dict(delimiter='\nAnswer: ')
    return write_bundle(path, [
        dict(label='colour', **choice, rows=of(asks_colour), baseline=25),
        dict(label='letter', **choice, rows=of(asks_letter), shots=3, baseline=25, **answer),
        dict(label='twins', **choice, rows=of(asks_twins), shots=1, baseline=40),
        dict(label='who', kind='schema', rows=who, shots=2, baseline=50),
        dict(label='food', **language, rows=of(asks_food), shots=5, **answer),
        dict(label='again', **language, rows=again)])

def data_lines(path):
    "Lines of a data file that say something"
    with open(path, encoding='utf-8') as f: return [l for l in f if l.strip()]

class Lab:
    "Where an experiment runs: `some` is how many examples of each task a slow model is asked (0 = all)"
    def __init__(self, full, seed, tmp, bundle=None):
        self.full,self.seed,self.tmp = full,seed,Path(tmp)
        self.real = bundle is not None
        self.bundle = Path(bundle).resolve() if self.real else tiny_bundle(self.tmp/'bundle')
        self.tasks = tasks_of(self.bundle)
        self.data = self.bundle/'eval_data'
        self.rows = {t['label']: len(data_lines(self.data/t['dataset_uri'])) for t in self.tasks}
        self.some = 0 if full or not self.real else 2+max(t['num_fewshot'][0] for t in self.tasks)

    def n(self, most=0): return sum(min(most or n, n) for n in self.rows.values())

    def asked_of(self, most=0):
        "How many are asked, in words"
        return f'{self.n(most):,} examples of {len(self.rows)} tasks' + (f', {most} of each' if most else '')

    def tokenizer(self, vocab_size):
        "Learnt from the bundle's own text, so that most words of its prompts are tokens"
        lines = [l for f in sorted(self.data.rglob('*.jsonl')) for l in data_lines(f)]
        docs = [json.dumps(json.loads(l), ensure_ascii=False) for l in lines]
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')   # a tiny bundle has less text than merges asked for
            return train_tokenizer(docs, TokenizerConfig(vocab_size=vocab_size))

    @cached_property
    def tok(self): return self.tokenizer(4096 if self.real else 400)

    def models(self):
        "A table, a transformer that owes nothing to this project, and two forms of its GPT"
        V,g = self.tok.vocab_size,torch.Generator().manual_seed(self.seed)
        table = 3*torch.randn(V, V, generator=g)
        torch.manual_seed(self.seed)
        return dict(bigram=lambda ids: table[ids], transformer=Transformer(V).eval(),
                    gpt=small_gpt(V), windowed=small_gpt(V, n_kv_head=2, window=9))

def small_gpt(V, **kw):
    "With weights large enough to have opinions"
    small = dict(seq_len=128, n_layer=2, n_head=4, width=32, init_head=.5, init_out=1.)
    return GPT(ModelConfig(**small | kw), V).eval()

def layer(C):
    return nn.ModuleDict(dict(qkv=nn.Linear(C, 3*C), out=nn.Linear(C, C), up=nn.Linear(C, 2*C), down=nn.Linear(2*C, C),
                              a=nn.LayerNorm(C), b=nn.LayerNorm(C)))

class Transformer(nn.Module):
    "A small causal transformer from nothing but matrices: ids to logits"
    def __init__(self, V, C=32, H=2, L=2, n_pos=16384):
        super().__init__()
        self.H,self.D = H,C//H
        self.word,self.place = nn.Embedding(V, C),nn.Embedding(n_pos, C)
        self.layers = nn.ModuleList(layer(C) for _ in range(L))
        self.head = nn.Linear(C, V)

    def forward(self, ids):
        B,T = ids.shape
        x,later = self.word(ids)+self.place(torch.arange(T)),torch.ones(T, T, dtype=torch.bool).triu(1)
        for l in self.layers:
            q,k,v = l['qkv'](l['a'](x)).view(B, T, 3, self.H, self.D).permute(2,0,3,1,4)
            w = (q@k.transpose(-1,-2)/self.D**.5).masked_fill(later, -math.inf).softmax(-1)
            x = x+l['out']((w@v).transpose(1,2).reshape(B, T, -1))
            x = x+l['down'](torch.tanh(l['up'](l['b'](x))))
        return 4*self.head(x)

def gap(x, y):
    if math.isnan(x)!=math.isnan(y): return math.inf
    return 0. if math.isnan(x) else abs(x-y)

def far(a, b):
    "Largest difference between mean losses; infinite where only one is NaN"
    return max((gap(x, y) for x,y in zip(a, b, strict=True)), default=0.)

KEYS = 'task','idx','row','shots','spans','predicted','gold','correct'

def compare(examples, want, ids=True):
    """Of two evaluations: how many examples agree in everything, the largest difference of a mean loss, and what the
    first difference is"""
    assert len(examples)==len(want)>0, (len(examples), len(want))
    held,worst,first = 0,0.,''
    keys = (*KEYS,'ids') if ids else KEYS
    def of(e, k): return e[k] if isinstance(e, dict) else getattr(e, k)
    for e,o in zip(examples, want):
        odd = [k for k in keys if of(e, k)!=of(o, k)]
        d = far(of(e, 'losses'), of(o, 'losses'))
        worst = max(worst, d)
        if d>TOL: odd.append('losses')
        held += not odd
        if odd and not first: first = f"; first difference: {of(o, 'task')} {of(o, 'idx')}, {', '.join(odd)}"
    return held,worst,first
