"""What llama.cpp makes of an exported file: the same ids, the same greedy text, the same probabilities. In tests/, as
it is a program of its own, which may end its process: it gets one, and is asked over a pipe.

`python tests/test_gguf.py [--texts DIR]` asks more: 10,000 texts, every character, every file of DIR, texts of 200
tokens, also of transformers, and prints what it saw."""
import json, random, subprocess, sys, tempfile, unicodedata
from contextlib import contextmanager
from pathlib import Path
import pytest
import torch
from pretrain.build import Run, load_model
from pretrain.cli import main
from pretrain.data.readers import embedded_documents
from pretrain.data.tokenizer import train_tokenizer
from pretrain.export.gguf import FILE, PRE, write_gguf
from pretrain.model.blocks import ModelConfig
from pretrain.model.generate import GPT

LIMIT_S = 120  # an answer that takes longer will not come
SERVER = '''
import json, sys, urllib.request
import xllamacpp as llama
p = llama.CommonParams()
p.model.path,p.n_gpu_layers,p.n_parallel,p.verbosity,p.warmup,p.cpuparams.n_threads = sys.argv[1],0,1,-1,False,1
p.cache_type_k = p.cache_type_v = llama.ggml_type.GGML_TYPE_F32
p.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
server = llama.Server(p)
for line in sys.stdin:
    path,what = json.loads(line)
    head = {"Content-Type": "application/json"}
    asked = urllib.request.Request(server.listening_address+path, json.dumps(what).encode(), head)
    print("answer", json.dumps(json.load(urllib.request.urlopen(asked))), flush=True)
'''

@contextmanager
def llama_cpp(file):
    "A function that asks llama.cpp about a file: (path, what) to its answer"
    pytest.importorskip('xllamacpp')
    log = tempfile.TemporaryFile('w+')
    p = subprocess.Popen([sys.executable, '-c', SERVER, str(file)], text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=log)
    def ask(path, **what):
        p.stdin.write(json.dumps([path, what])+'\n')
        p.stdin.flush()
        line = next((o for o in p.stdout if o.startswith('answer ')), None)
        log.seek(0)
        assert line, f'llama.cpp ended: {log.read()[-1000:]}'
        return json.loads(line.partition(' ')[2])
    try: yield ask
    finally:
        p.stdin.close()
        try: p.wait(LIMIT_S)
        finally: p.kill()

# ------------------------------------------------------------ ids

def characters(step):
    "Every so many-th of the characters that all tables know"
    every = [chr(i) for i in range(0x110000) if unicodedata.ucd_3_2_0.category(chr(i)) not in ('Cn', 'Cs', 'Co')]
    return every[:0x300]+every[0x300::step]

def surrounded(c): return f"a{c}b{c}{c}1{c} {c} c'{c}\n{c}"

def random_texts(n, chars, seed=0):
    "Texts of what is usual at the seams of words, and of anything"
    rng = random.Random(seed)
    usual = " '\n\r\t 0199azAZsStTſ.,!é\u0301\u3000\xa0हिé中🙂\u200d"
    def one(): return ''.join(rng.choice(chars if rng.random()<.3 else usual) for _ in range(rng.randint(1, 60)))
    return [one() for _ in range(n)]

def unlike(name, texts, folder, vocab_size):
    "Texts that llama.cpp gives other ids than we, of a vocabulary that was learned from them and knows their pieces"
    tok = train_tokenizer(texts, vocab_size=vocab_size, pattern=name)
    model = GPT(ModelConfig(seq_len=32, n_layer=1, n_head=1, width=16, softcap=0.), tok.vocab_size)
    write_gguf(folder/'ids.gguf', model, tok, 'ids')
    def theirs(text): return ask('/tokenize', content=text, add_special=False, parse_special=False)['tokens']
    with llama_cpp(folder/'ids.gguf') as ask: return [t for t in texts if theirs(t)!=tok.encode(t)]

@pytest.mark.parametrize('name', PRE)
def test_same_ids(name, tmp_path):
    chars = characters(200)
    lines = [''.join(map(surrounded, chars[i:i+20])) for i in range(0, len(chars), 20)]
    texts = [*embedded_documents()][:20]+random_texts(150, chars)+lines
    assert unlike(name, texts, tmp_path, 12_000)==[]

def test_other_ids_are_noticed(tmp_path, monkeypatch):
    "A file that names another split"
    monkeypatch.setitem(PRE, 'qwen35', 'llama-bpe')
    assert unlike('qwen35', ['It is 12345 हिन्दी'], tmp_path, 400)

# ------------------------------------------------------------ text

SHAPE = {'model.seq_len': 256, 'model.n_layer': 2, 'model.n_head': 4, 'model.n_kv_head': 2, 'model.width': 64,
         'model.softcap': 0., 'tokenizer.vocab_size': 500, 'tokenizer.pattern': 'llama3'}
SHORT = {'train.steps': 30, 'loader.batch_rows': 4, 'schedule.warmup': 3, 'optim.lr': .01, 'train.device': 'cpu',
         'eval.bytes': 5000, 'preflight.at_start': False, 'sample.tokens': 4, 'prepare.workers': 1,
         'metrics.peak_tflops': 1.}

def learned(here):
    "A run that has learned a little"
    (here/'text.txt').write_text('\n\n'.join([*embedded_documents()][:60]))
    data = {'data.train': [str(here/'text.txt')], 'prepare.cache': str(here/'cache')}
    Run(None, say=None, out=str(here/'run'), **(data | SHAPE | SHORT)).fit().close()
    return here/'run'

@pytest.fixture(scope='module')
def run(tmp_path_factory): return learned(tmp_path_factory.mktemp('gguf'))

def export(run, form, *more):
    "As the command does it"
    to = run.parent/'-'.join([form, *(o.strip('-') for o in more)])
    assert main(['export', str(run), '--to', str(to), '--format', form, *more]) in (0, None)
    return to

PROMPTS = ['', 'The ', 'If', 'a', 'an integer', '12', 'def f(x):\n    return', 'It is not', '\n\n', ' of',
           'the same as', '"', 'class', 'for i in', 'is a', 'See', 'Python', 'x = ', 'and or', 'When the']

GREEDY = dict(temperature=0, n_probs=5, return_tokens=True, cache_prompt=False)

def other_texts(ask, tok, model, n):
    "Prompts that llama.cpp continues otherwise than we, and how far its log probabilities are from ours"
    other,worst = [],0.
    for text in PROMPTS:
        ids = ask('/tokenize', content=text, add_special=True)['tokens']
        assert ids==[tok.bos, *tok.encode(text)]
        got = ask('/completion', prompt=ids, n_predict=n, **GREEDY)
        want = model.generate(ids, n, temperature=0, stop=tok.bos)
        if got['tokens']!=want: other.append((text, got['tokens'], want))
        with torch.no_grad(): sure = model(torch.tensor([ids]))[0,-1].log_softmax(-1)
        first = got['completion_probabilities'][0]['top_logprobs'] if want else []
        worst = max(worst, *(abs(o['logprob']-sure[o['id']].item()) for o in first), 0.)
    return other,worst

def test_same_text(run):
    model,tok,*_ = load_model(run, 'cpu')
    with llama_cpp(export(run, 'gguf')/FILE) as ask: other,worst = other_texts(ask, tok, model, 40)
    assert other==[]
    assert worst<1e-4
    assert len({tuple(model.generate([tok.bos, *tok.encode(p)], 6, temperature=0)) for p in PROMPTS})>5   # no parrot

@pytest.mark.parametrize('dtype,most', [('f16', .01), ('q8_0', .1)])
def test_smaller_files_run(run, dtype, most):
    model,tok,*_ = load_model(run, 'cpu')
    file = export(run, 'gguf', '--dtype', dtype, '--unchecked')/FILE
    with llama_cpp(file) as ask: _,worst = other_texts(ask, tok, model, 1)
    assert worst<most

# ------------------------------------------------------------ more, by command

def same_in_transformers(run, n):
    "How many prompts transformers continues as we do"
    from pretrain.export.hf import quiet, read_hf
    (model,tok,*_),(other,_) = load_model(run, 'cpu'),read_hf(export(run, 'apertus'))
    def theirs(ids):
        with quiet(): new = other.generate(torch.tensor([ids]), max_new_tokens=n, do_sample=False, eos_token_id=None)
        return new[0,len(ids):].tolist()
    begun = [[tok.bos, *tok.encode(p)] for p in PROMPTS]
    return sum(theirs(ids)==model.generate(ids, n, temperature=0) for ids in begun)

def more(folder, texts):
    "All of it, printed"
    chars,files = characters(5),[p.read_text() for p in sorted(Path(texts).glob('*'))] if texts else []
    sets = {'10,000 random texts': random_texts(10_000, chars), f'{len(files)} files': files,
            f'{len(chars):,} characters': [*map(surrounded, chars)]}
    for name in PRE:
        for what,some in sets.items():
            if some: print(f'{name}: {what}: {len(unlike(name, some, folder, 40_000))} with other ids', flush=True)
    done = learned(folder)
    model,tok,*_ = load_model(done, 'cpu')
    with llama_cpp(export(done, 'gguf')/FILE) as ask: other,worst = other_texts(ask, tok, model, 200)
    print(f'llama.cpp: {len(PROMPTS)-len(other)} of {len(PROMPTS)} prompts continued alike for 200 tokens, '
          f'log probabilities off by {worst:.1e}')
    print(f'transformers: {same_in_transformers(done, 200)} of {len(PROMPTS)} prompts continued alike for 200 tokens')

if __name__=='__main__':
    with tempfile.TemporaryDirectory() as d: more(Path(d), sys.argv[2] if sys.argv[1:2]==['--texts'] else '')
