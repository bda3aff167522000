"""What was exported against what it was exported from: `python tests/exported.py [FOLDER]` compares ids on 10,000
texts that nobody wrote and on the files of a folder, and 200 greedy tokens on 20 prompts; test_export.py a part."""
import json, random, sys, tempfile, time
from pathlib import Path
import torch

POOL = ['a', 'The ', 'ing', "'s", "'LL", ' ', '  ', '\n', '\r\n', '\t', '\x00', '\x85', '\u2028', '\u00a0', '12', '345',
        '½', 'é', 'e\u0301', '中文', 'ไทย\u0e35', '🙂', '👩\u200d👧', 'def f(x):\n    return x', '##', 'ſ', 'ß',
        '<|bos|>', '<|user_start|>', '\ufeff', '\u200b', 'İ', '٣٤', '¹²', '<|', '|>']
PROMPTS = ['The ', 'A list is ', '', ' and', '12', 'def f(', 'more than', 'less', '\n', 'é', '中', '🙂', "It's",
           'if x:\n', 'return ', '   ', 'Python', 'import ', 'the the the', '<|bos|>']

def odd_char(rng):
    c = rng.randrange(rng.choice([0x80, 0x3000, 0x10000, 0x110000]))
    return ' ' if 0xd800<=c<0xe000 else chr(c)

def odd_text(rng):
    parts = [rng.choice(POOL)*rng.choice([1, 1, 1, 5]) if rng.random()<.7 else odd_char(rng) for _ in range(60)]
    return ''.join(parts[:rng.randrange(60)])

def odd_texts(n, seed=1):
    "Texts that nobody wrote: empty, blank, long runs, every plane of Unicode"
    rng = random.Random(seed)
    edges = ['', ' ', '\n', ' '*3000, 'a'*3000, '1'*3000, '\n'*50+' ', 'the '*8000, '\r\n'*40, '\x00', '🙂'*500]
    return (edges+[odd_text(rng) for _ in range(n)])[:n]

def unlike(tok, auto, texts):
    "Texts whose ids differ, or that come back changed"
    def same(t):
        ids = tok.encode(t)
        return auto(t, add_special_tokens=False, verbose=False)['input_ids']==ids and auto.decode(ids)==t
    return [t[:60] for t in texts if not same(t)]

def greedy(model, other, start, n):
    "The same tokens, ours and theirs, where always the best is taken?"
    from pretrain.export.hf import quiet
    from pretrain.model.generate import generate
    with quiet(): y = other.generate(torch.tensor([start]), max_new_tokens=n, do_sample=False, eos_token_id=None)
    return y[0,len(start):].tolist()==generate(model, start, n, temperature=0)

def make_run(folder, steps=150, **keys):
    "A small run that has learnt something; rows of 256 tokens"
    from pretrain import Run
    run = Run(None, out=str(folder), say=None, **{
        'tokenizer.vocab_size': 600, 'prepare.workers': 1, 'model.seq_len': 256, 'model.n_layer': 2, 'model.n_head': 4,
        'model.n_kv_head': 2, 'model.width': 64, 'loader.batch_rows': 4, 'train.steps': steps, 'train.device': 'cpu',
        'train.threads': 1, 'schedule.warmup': 2, 'eval.bytes': 8000, 'sample.prompts': ['The '], 'sample.tokens': 4,
        'preflight.at_start': False, 'metrics.peak_tflops': 1.} | keys)
    run.fit()
    run.close()
    return run

def report(folder=None):
    "Everything, in lines"
    from transformers import AutoTokenizer
    from pretrain import export_run, load_model, train_tokenizer
    from pretrain.data.corpus import CorpusConfig, documents
    from pretrain.export.hf import read_hf
    from pretrain.export.tokenizer import tokenizer_files
    tmp = Path(tempfile.mkdtemp())
    files = sorted(Path(folder).glob('*.txt')) if folder else []
    texts = {'odd texts': odd_texts(10_000), 'files': [f.read_text(encoding='utf-8') for f in files]}
    embedded = [d for d,_ in zip(documents(['embedded'], CorpusConfig(), key='x'), range(400))]
    for name,docs in (('English', embedded), ('of the files', texts['files'])):
        if not docs: continue
        tok = train_tokenizer(docs, vocab_size=4096)
        to = tmp/name
        to.mkdir()
        for k,data in tokenizer_files(tok, 256).items(): (to/k).write_text(json.dumps(data), encoding='utf-8')
        auto = AutoTokenizer.from_pretrained(str(to))
        for what,some in texts.items():
            n,bad = sum(map(len, some)),unlike(tok, auto, some)
            print(f'tokenizer {name}: {what}: {len(some)} texts, {n:,} characters, {len(bad)} differ')
    make_run(tmp/'run', **{'prepare.cache': str(tmp/'cache')})
    export_run(tmp/'run', tmp/'out')
    model,tok,_,_ = load_model(tmp/'run', 'cpu')
    other,_ = read_hf(tmp/'out')
    same = [greedy(model, other, [tok.bos, *tok.encode(p)], 200) for p in PROMPTS]
    print(f'greedy: {sum(same)} of {len(same)} prompts give the same 200 tokens')

if __name__=='__main__':
    start = time.time()
    report(*sys.argv[1:2])
    print(f'{time.time()-start:.0f} s')
