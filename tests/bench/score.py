"""Bits per byte of any model on the same bytes, worked out without this library: what is scored is a function from ids
to logits, a function from text to ids, and how many bytes each id stands for.

    python tests/bench/score.py ours RUN --valid val.jsonl
    python tests/bench/score.py nanochat WORK/base_checkpoints/d4 --code NANOCHAT --valid val.jsonl
    python tests/bench/score.py nanogpt OUT --code NANOGPT --tokenizer tokenizer.json --valid val.jsonl
    python tests/bench/score.py trainer OUT --tokenizer tokenizer.json --valid val.jsonl

Whole documents are read until there are so many bytes. Each begins behind the token that begins documents and is cut
into windows that do not overlap; every byte is predicted once, and the token that begins documents is never counted."""
import argparse, json, math, os, sys
from pathlib import Path
import torch

T,ROWS,BYTES = 256,8,300_000   # Of a window [tokens], windows at a time, text that is read at least [bytes]

def documents(path, n_bytes=BYTES):
    "Whole documents, until there are so many bytes"
    for line in open(path, encoding='utf-8'):
        doc = json.loads(line)['text']
        if not doc: continue
        yield doc
        n_bytes -= len(doc.encode())
        if n_bytes<=0: return

def windows(ids, begin, T=T):
    "(input, target) of a document, each token a target once"
    x = [begin, *ids[:-1]]
    return [(x[i:i+T], ids[i:i+T]) for i in range(0, len(ids), T)]

def padded(rows, fill):
    n = max(map(len, rows))
    return torch.tensor([r+[fill]*(n-len(r)) for r in rows])

@torch.no_grad()
def bits_per_byte(logits, encode, n_bytes, begin, docs, T=T):
    "(bits per byte, bytes, tokens) of `logits(ids [B,T]) -> [B,T,V]`"
    nats,size,count,rows = 0.,0,0,[]
    for doc in docs:
        ids = encode(doc)
        found = sum(n_bytes[i] for i in ids)
        assert found==len(doc.encode()), f'{found} bytes in the tokens of a document of {len(doc.encode())}'
        size,count = size+found,count+len(ids)
        rows += windows(ids, begin, T)
    rows.sort(key=lambda r: len(r[0]))   # little padding
    for i in range(0, len(rows), ROWS):
        xs,ys = zip(*rows[i:i+ROWS])
        x,y = padded(xs, begin),padded(ys, -1)
        scores = logits(x).float().flatten(0, 1)
        nats += torch.nn.functional.cross_entropy(scores, y.flatten(), ignore_index=-1, reduction='sum').double().item()
    return nats/math.log(2)/size,size,count

# ------------------------------------------------------------ models: (logits, encode, bytes of each id, first id)

def ours(where, a):
    from pretrain import load_model
    model,tok,*_ = load_model(where, 'cpu')
    return lambda x: model.logits(model.hidden(x)), tok.encode, list(map(int, tok.n_bytes)), tok.bos

def nanochat(where, a):
    sys.path.insert(0, a.code)
    os.environ['NANOCHAT_BASE_DIR'] = str(Path(where).parents[1])
    from nanochat.checkpoint_manager import build_model, find_last_step
    model,tok,_ = build_model(where, find_last_step(where), torch.device('cpu'), 'eval')
    special = {tok.encode_special(s) for s in tok.get_special_tokens()}
    sizes = [0 if i in special else len(tok.decode_single_token_bytes(i)) for i in range(tok.get_vocab_size())]
    return model,tok.encode,sizes,tok.get_bos_token_id()

def shared_tokenizer(path):
    "A byte-level tokenizer of `tokenizers`: (encode, bytes of each id, first id); a letter of its pieces is a byte"
    from tokenizers import Tokenizer
    tok = Tokenizer.from_file(path)
    begin = tok.token_to_id('<|endoftext|>')
    sizes = [0 if i==begin else len(tok.id_to_token(i)) for i in range(tok.get_vocab_size())]
    return lambda text: tok.encode(text).ids, sizes, begin

def nanogpt(where, a):
    sys.path.insert(0, a.code)
    from model import GPT, GPTConfig
    saved = torch.load(Path(where)/'ckpt.pt', map_location='cpu', weights_only=True)
    model = GPT(GPTConfig(**saved['model_args'])).eval()
    model.load_state_dict({k.removeprefix('_orig_mod.'): v for k,v in saved['model'].items()})
    return lambda x: model(x, x)[0], *shared_tokenizer(a.tokenizer)   # with targets it gives every position

def trainer(where, a):
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(where).eval()
    return lambda x: model(x).logits, *shared_tokenizer(a.tokenizer)

KINDS = dict(ours=ours, nanochat=nanochat, nanogpt=nanogpt, trainer=trainer)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('kind', choices=KINDS)
    p.add_argument('where')
    p.add_argument('--valid', required=True)
    p.add_argument('--bytes', type=int, default=BYTES)
    p.add_argument('--code')
    p.add_argument('--tokenizer')
    a = p.parse_args()
    bpb,size,count = bits_per_byte(*KINDS[a.kind](a.where, a), documents(a.valid, a.bytes))
    print(json.dumps(dict(bpb=round(bpb, 5), bytes=size, tokens=count)))

if __name__=='__main__': main()
