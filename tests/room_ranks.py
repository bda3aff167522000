"""A step of real ranks, measured: `python tests/room_ranks.py N [CASE …]` prints what each case needs and sends.

Memory is that of all storages which the dispatcher sees made, asked for their sizes after every operation, since FSDP
lends and takes back by changing them; messages are those of torch's own collectives."""
import json, socket, sys, weakref
import torch
import torch.distributed as torch_dist
from torch import multiprocessing
from pretrain.base.dist import setup
from pretrain.model.blocks import ModelConfig
from pretrain.model.gpt import GPT
from pretrain.model.optim import OptimConfig, build_optim
from pretrain.train.parallel import Parallel, checkpoint_blocks
from pretrain.train.room import Meter

PLAIN,RICH = dict(n_layer=3, n_head=4, width=128, seq_len=64),dict(value_embed='alternate', x0_scalars=True, smear=True)
BIG = dict(n_layer=3, n_head=2, width=192, seq_len=32)   # its blocks are gathered twice
CASES = [('ddp', PLAIN, 512, 8, 'adamw', False), ('ddp', PLAIN | RICH, 512, 4, 'muon', True),
         ('fsdp', PLAIN, 512, 8, 'adamw', False), ('fsdp', BIG | RICH, 500, 4, 'adamw', True),
         ('fsdp', BIG, 500, 2, 'muon', False), ('fsdp', PLAIN, 4096, 1, 'adamw', False),
         ('ddp', PLAIN, 512, 4, 'muon', False, True), ('fsdp', PLAIN, 512, 4, 'adamw', False, True),
         ('fsdp', BIG, 500, 2, 'muon', False, True, 2)]   # in float64, one micro-batch or two

class Real(Meter):
    "Sizes are asked anew each time; messages are noted"
    def __init__(self):
        self.sent = {}
        super().__init__()

    def count(self, s):
        at = s._cdata
        self.refs[at] = weakref.ref(s, lambda _: self.refs.pop(at, None))

    def note(self):
        self.live = sum(o.nbytes() for r in [*self.refs.values()] if (o := r()) is not None)
        super().note()

    def __torch_dispatch__(self, fn, types, args=(), kwargs=None):
        if str(fn).startswith('c10d.'):
            kind = next((k for w,k in KINDS.items() if w in str(fn)), None)
            ts = [t for t in torch.utils._pytree.tree_leaves(args) if isinstance(t, torch.Tensor)]
            b = ts[1].nbytes if kind=='all_to_all' else max(t.nbytes for t in ts)   # output, then input
            self.sent[kind] = self.sent.get(kind, 0)+b
        return super().__torch_dispatch__(fn, types, args, kwargs)

KINDS = dict(allreduce='all_reduce', _allgather_base='all_gather', _reduce_scatter_base='reduce_scatter',
             alltoall_base='all_to_all')

def measured(mode, shape, V, rows, matrix, checkpoint, wide=False, micros=1):
    torch.manual_seed(0)
    meter = Real()
    with meter:
        model = GPT(ModelConfig(**shape), V)
        if checkpoint: checkpoint_blocks(model)
        par = Parallel(model, mode, wide=wide)
        opt = build_optim(par.trained, OptimConfig(matrix=matrix))
        par.join(opt)
        del model
        ids = torch.zeros(rows, shape['seq_len']+1, dtype=torch.long)
        for _ in range(3):   # moments and buckets are as they stay from the third step on
            meter.sent,meter.most = {},meter.live
            opt.zero_grad()
            for i in range(micros):
                with par.micro(i==micros-1): par.loss(ids[:,:-1], ids[:,1:], 'sum').backward()
            par.reduce()
            par.clip(opt.params, 1.)
            opt.step()
    return dict(peak=meter.most, sent=meter.sent, held=par.held(micros))

def rank(r, N, port, which):
    torch_dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=r, world_size=N)   # environment: nothing
    torch.set_num_threads(1)
    setup('cpu', timeout_s=60)
    found = [measured(*CASES[i]) for i in which]
    if r==0: print(json.dumps(found), flush=True)
    torch_dist.destroy_process_group()

if __name__=='__main__':
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    N = int(sys.argv[1])
    which = [*map(int, sys.argv[2:])] or range(len(CASES))
    multiprocessing.start_processes(rank, (N, port, which), nprocs=N, start_method='fork')
