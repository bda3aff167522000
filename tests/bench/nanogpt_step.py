"""A training step of nanoGPT's own code, for `python tests/bench/step.py --peer nanoGPT=tests/bench/nanogpt_step.py`.
`NANOGPT` names the folder that a clone of github.com/karpathy/nanoGPT lies in."""
import os, sys

def build(shape, ids):
    "A function that takes one step on `ids` `[B,T+1]`"
    if 'NANOGPT' not in os.environ: raise SystemExit('NANOGPT: not set; the folder of a clone of nanoGPT would work')
    sys.path.insert(0, os.environ['NANOGPT'])
    import torch
    from model import GPT, GPTConfig
    L,C,H,T,V,B = shape
    model = GPT(GPTConfig(block_size=T, vocab_size=V, n_layer=L, n_head=H, n_embd=C, dropout=0., bias=False))
    opt = model.configure_optimizers(.1, 1e-3, (.9, .95), 'cpu')
    x,y = ids[:,:-1].contiguous(),ids[:,1:].contiguous()
    def step():
        _,loss = model(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
        opt.step()
        opt.zero_grad(set_to_none=True)
        return loss.item()
    return step
