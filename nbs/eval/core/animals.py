"""A world of twelve animals, in five small tasks of all three types, and models to ask: what the chapters of this
folder try things on."""
import random
import torch, torch.nn.functional as F
from torch import nn
from pretrain.data.tokenizer import TokenizerConfig, train_tokenizer
from pretrain.eval.core.tasks import prompts, read_bundle, write_bundle
from pretrain.model.blocks import ModelConfig
from pretrain.model.gpt import GPT

NAMES = 'bim dol fep gur hax jol kip lum mox nev pol quz'.split()
COLOURS = 'red,deep blue,green,pale yellow'.split(',')
FOODS = 'moss,wild nuts,fish,old bread'.split(',')

_rng = random.Random(3)
ANIMALS = [dict(name=n, colour=_rng.randrange(4), food=_rng.randrange(4)) for n in NAMES]

def menu(i):
    "Four foods with letters before them; where the list begins depends on `i`"
    return '\n'.join(f'{"ABCD"[j]}. {FOODS[(i+j)%4]}' for j in range(4))

def asks_colour(a): return dict(query=f'The colour of a {a["name"]} is', choices=COLOURS, gold=a['colour'])

def asks_letter(i, a):
    query = f'Question: What does a {a["name"]} eat?\n{menu(i)}\nAnswer:'
    return dict(query=query, choices=list('ABCD'), gold=(a['food']-i)%4)

def asks_who(a, b, ending, gold):
    return dict(context_options=[f'The {a} fed the {b} because the {c}' for c in (a,b)], continuation=ending, gold=gold)

def asks_food(a): return dict(context=f'Question: What does a {a["name"]} eat? ', continuation=FOODS[a['food']])

ENDINGS = [('was hungry.', 1), ('had too much.', 0)]
ROWS = dict(colour=[asks_colour(a) for a in ANIMALS],
            letter=[asks_letter(i, a) for i,a in enumerate(ANIMALS)],
            who=[asks_who(a, b, *e) for a,b in zip(NAMES, NAMES[1:]) for e in ENDINGS],
            food=[asks_food(a) for a in ANIMALS],
            again=[dict(context=f'{a} {b} {a} {b} {a}', continuation=b) for a,b in zip(NAMES, NAMES[5:]+NAMES[:5])])

TINY = [dict(label='colour', kind='multiple_choice', rows=ROWS['colour'], baseline=25),
        dict(label='letter', kind='multiple_choice', rows=ROWS['letter'], shots=3, baseline=25),
        dict(label='who', kind='schema', rows=ROWS['who'], baseline=50),
        dict(label='food', kind='language_modeling', rows=ROWS['food'], shots=2, delimiter='\nAnswer: '),
        dict(label='again', kind='language_modeling', rows=ROWS['again'])]

TWIN = dict(label='twin', kind='multiple_choice', baseline=50,   # an option is the beginning of another, or equal to it
            rows=[dict(query='The dol is', choices=['green','green moss'], gold=0),
                  dict(query='The dol is', choices=['green moss','green'], gold=1),
                  dict(query='The dol is', choices=['red','red'], gold=1)])

def tokenizer(tasks):
    "Learnt from all prompts of some tasks"
    texts = [p for t in tasks for i in range(len(t)) for p in prompts(t, i)]
    return train_tokenizer(texts, TokenizerConfig(vocab_size=400))

def tiny_bundle(path):
    "Where the bundle is, its tasks by label, and a tokenizer"
    bundle = write_bundle(path, TINY)
    tasks = {t.label: t for t in read_bundle(bundle)}
    return bundle, tasks, tokenizer(tasks.values())

class Plain(nn.Module):
    "A transformer that offers nothing but `forward`"
    def __init__(self, V, C=32, H=2, n_pos=512):
        super().__init__()
        self.tok,self.pos,self.H = nn.Embedding(V, C),nn.Embedding(n_pos, C),H
        self.qkv,self.head = nn.Linear(C, 3*C),nn.Linear(C, V)
        self.mlp = nn.Sequential(nn.Linear(C, C), nn.GELU())

    def forward(self, ids):
        B,T = ids.shape
        x = self.tok(ids)+self.pos(torch.arange(T))
        q,k,v = (o.view(B,T,self.H,-1).transpose(1,2) for o in self.qkv(x).chunk(3, -1))
        x = x+F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1,2).reshape(x.shape)
        return 3*self.head(x+self.mlp(x))

def random_gpt(V, **kw):
    "One of ours, with weights large enough to have opinions"
    torch.manual_seed(1)
    return GPT(ModelConfig(**dict(seq_len=128, n_layer=2, n_head=4, width=32, init_head=.5, init_out=1) | kw), V).eval()

def make_models(V):
    "A bigram table, which sees one token; a plain transformer; two of ours, one with a window and fewer key heads"
    torch.manual_seed(0)
    table = 3*torch.randn(V, V)
    return dict(bigram=lambda ids: table[ids], plain=Plain(V).eval(),
                gpt=random_gpt(V), windowed=random_gpt(V, n_kv_head=2, window=9))

class Outsider:
    "A model that isn't ours, with positions and a mask: takes a `Tree`, and keeps nothing"
    trees = True
    def __init__(self, gpt): self.gpt,self.logits = gpt,gpt.logits
    def hidden(self, ids, cache=None): return self.gpt.hidden(ids, cache)
