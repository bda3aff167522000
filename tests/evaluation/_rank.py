"""A process of the experiment `ranks`, alone or one of several: evaluates a small GPT, keeps the result, and writes
down what this rank was given"""
import json, sys
from pathlib import Path
import torch
from _core import small_gpt
from pretrain.eval.core.evaluate import evaluate_core
from pretrain.base.dist import cleanup, rank, setup, world
from pretrain.data.tokenizer import Tokenizer

bundle,out,most,seed = sys.argv[1:]
out = Path(out)
torch.set_num_threads(1)
setup('cpu')
tok = Tokenizer.load(out/'tokenizer')
torch.manual_seed(int(seed))
model = small_gpt(tok.vocab_size, n_kv_head=2, window=9)
res = evaluate_core(model, tok, bundle, int(most), rank=rank(), world=world(), resume_dir=out/f'of_{world()}')
given = dict(core=res.core, n=len(res.examples), right=[e.correct for e in res.examples])
(out/f'rank_{rank()}_of_{world()}.json').write_text(json.dumps(given))
cleanup()
