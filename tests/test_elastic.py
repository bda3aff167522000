"""A run whose model lies in parts on several ranks leaves a checkpoint in parts, and any number of ranks goes on from
it. In tests/, since each rank is a process that torchrun starts, once for all cases. `python tests/test_elastic.py`
takes runs through 1, 2, 4, 2, 1 and 3 processes and both modes, and stops and goes on with 2, 3 and 4. What Muon makes
of rounding grows with the steps, so it is held to 1e-6 in float64, and AdamW in float32."""
import json, shutil, sys
from pathlib import Path
import pytest, torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from as_one import KINDS, ROWS, SMALL, T, model_of, text, wide
from helpers import on_ranks as torchrun
from pretrain.base.dist import barrier, cleanup, rank, setup, world
from pretrain.build import load_config
from pretrain.data.loader import Loader
from pretrain.store.checkpoint import load_checkpoint, newest_checkpoint
from pretrain.store.saver import CheckpointConfig
from pretrain.train.console import Console
from pretrain.train.loop import Loop

STEPS,HALF,TOL = 8,4,1e-6
LIMIT_S = 200

def train(out, steps, mode, form, kind='best', rows=ROWS, plan=STEPS):
    "So many steps of a run, which then is saved: losses and norms"
    keys = {'loader.batch_rows': rows, 'train.steps': plan, 'train.parallel': mode}
    cfg = load_config(None, SMALL | keys | KINDS[kind])
    par,opt = model_of(cfg, kind)
    loader = Loader(text(), T=T, batch_rows=rows, seed=cfg.seed, rank=rank(), world=world())
    run = Loop(par, opt, loader, out, cfg.train, cfg.schedule, CheckpointConfig(sharded=form), clip=.5,
               console=Console(None)).resume()
    with wide(kind): recs = [run.step() for _ in range(steps)]
    if run.saved!=run.here: run.save()
    run.saver.wait()
    barrier()
    run.close()
    return [[r['loss'], r['grad_norm']] for r in recs]

def on_ranks(folder):
    "What each rank does"
    torch.set_num_threads(1)
    setup('cpu')
    found = dict(straight=train(folder/'straight', STEPS, 'fsdp', 'sharded'))
    found['half'] = train(folder/'half', HALF, 'fsdp', 'sharded')
    if not rank():
        for k in ('one', 'gathered', 'ddp'): shutil.copytree(folder/'half', folder/k)
    barrier()
    for out,mode,form in (('half','fsdp','sharded'), ('gathered','fsdp','whole'), ('ddp','ddp','auto')):
        found[f'on {out}'] = train(folder/out, STEPS-HALF, mode, form)
    if not rank(): (folder/'found.json').write_text(json.dumps(found))
    cleanup()

@pytest.fixture(scope='module')
def done(tmp_path_factory):
    "Where two ranks have done all of it, and what they saw"
    folder = tmp_path_factory.mktemp('elastic')
    p = torchrun(__file__, folder)
    _,err = p.communicate(timeout=LIMIT_S)
    assert p.returncode==0, err[-3000:]
    return folder, json.loads((folder/'found.json').read_text())

def last(out): return newest_checkpoint(out/'checkpoints')[0]

def test_the_same_ranks_go_on_bit_for_bit(done):
    "From parts to parts, and from parts to one set of files"
    folder,found = done
    assert found['half']+found['on half']==found['straight']
    want = load_checkpoint(last(folder/'straight'))[0]
    for out in ('half', 'gathered'):
        for part in ('model', 'optimizer'):
            got = load_checkpoint(last(folder/out))[0][part]
            assert got.keys()==want[part].keys(), (out, part)
            for k,t in got.items(): assert torch.equal(t, want[part][k]), (out, part, k)
    parts = [p.name for p in sorted(last(folder/'half').glob('model*'))]
    assert parts==[f'model_0000{r}_of_00002.safetensors' for r in (0,1)]
    assert [p.name for p in last(folder/'gathered').glob('model*')]==['model.safetensors']

def near(got, want): return all(abs(a-b)<=TOL*max(1, abs(b)) for x,y in zip(got, want) for a,b in zip(x, y))

def test_other_numbers_and_the_other_mode_go_on_nearly(done):
    folder,found = done
    assert near(found['on ddp'], found['straight'][HALF:])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try: assert near(train(folder/'one', STEPS-HALF, 'ddp', 'auto'), found['straight'][HALF:])
    finally: torch.set_num_threads(threads)

def test_a_part_that_is_missing_is_named(done):
    folder,_ = done
    shutil.copytree(folder/'half', folder/'lost')
    path = last(folder/'lost')
    (path/'optimizer_00001_of_00002.safetensors').unlink()
    with pytest.raises(ValueError, match='optimizer_00001_of_00002.safetensors: missing'): load_checkpoint(path)
    assert newest_checkpoint(folder/'lost'/'checkpoints')[0].name!=path.name

# ------------------------------------------------------------ by command

SCHEDULE = ((1,'ddp','auto'), (2,'fsdp','sharded'), (4,'fsdp','sharded'), (2,'ddp','auto'), (1,'ddp','auto'),
            (3,'fsdp','sharded'))
STAYS = {2: (('ddp','auto'),), 3: (('fsdp','sharded'),), 4: (('fsdp','whole'), ('fsdp','sharded'))}
ALL = 'every', 'exact'   # AdamW in float32, Muon in float64; all switches of both
WIDE = 12    # rows of a batch, which all of these numbers divide
EACH = 2     # steps between two changes
LONG_S = 600 # four processes on one busy core

def jobs_of(home, jobs):
    "What each rank of a start does"
    torch.set_num_threads(1)
    setup('cpu')
    found = [train(Path(home)/out, *how) for out,*how in jobs]
    if not rank(): (Path(home)/'found.json').write_text(json.dumps(found))
    cleanup()

def on(n, home, jobs):
    "Some runs or parts of runs on `n` ranks, in one start: losses and norms of each"
    p = torchrun(__file__, home, json.dumps(jobs), n=n)
    _,err = p.communicate(timeout=LONG_S)
    assert p.returncode==0, err[-3000:]
    return json.loads((home/'found.json').read_text())

def only_numbers(folder):
    "A checkpoint's bytes: JSON, and safetensors whose header accounts for every byte; so there is no room for a pickle"
    n = 0
    for p in folder.rglob('*.*'):
        data = p.read_bytes()
        n += len(data)
        if p.suffix=='.json': json.loads(data)
        else:
            size = int.from_bytes(data[:8], 'little')
            ends = [v['data_offsets'] for k,v in json.loads(data[8:8+size]).items() if k!='__metadata__']
            spans = sorted(ends)
            assert p.suffix=='.safetensors' and [a for a,_ in spans]==[0, *(b for _,b in spans)][:len(spans)], p
            assert 8+size+max((b for _,b in spans), default=0)==len(data), p
    return n

def changes(home):
    "Runs over the schedule, held to one process"
    plan = EACH*len(SCHEDULE)
    def jobs(out, steps, mode, form): return [(f'{out} {kind}', steps, mode, form, kind, WIDE, plan) for kind in ALL]
    want = on(1, home, jobs('one', plan, 'ddp', 'auto'))
    got,n = [[] for _ in ALL],0
    for W,mode,form in SCHEDULE:
        for all_of,some in zip(got, on(W, home, jobs('many', EACH, mode, form))): all_of += some
        n += sum(only_numbers(last(home/f'many {kind}')) for kind in ALL)
    print(' → '.join(f'{W} {mode}' for W,mode,_ in SCHEDULE))
    for kind,a,b in zip(ALL, got, want):
        far = max(abs(x-y)/max(1, abs(y)) for p,q in zip(a, b, strict=True) for x,y in zip(p, q))
        print(f'  {kind}: losses and norms {far:.1e} from those of one process', flush=True)
        assert far<TOL
    print(f'{n:,} bytes of checkpoints: JSON and safetensors, all accounted for', flush=True)

def stays(home):
    "Stopped, and gone on with the same number: the bits of not stopping"
    for W,hows in STAYS.items():
        names = [f'{W} {mode} {form}' for mode,form in hows]
        def jobs(what, steps): return [(f'{o} {what}', steps, *how, 'best', WIDE) for o,how in zip(names, hows)]
        found = on(W, home, jobs('straight', STEPS)+jobs('again', HALF))
        ends = on(W, home, jobs('again', STEPS-HALF))
        for name,want,begun,end in zip(names, found, found[len(names):], ends, strict=False):
            a,b = (load_checkpoint(last(home/f'{name} {o}'))[0] for o in ('straight', 'again'))
            same = all(torch.equal(t, b[part][k]) for part in ('model', 'optimizer') for k,t in a[part].items())
            assert begun+end==want and same, name
            print(f'{name}: stopped and gone on, same bits', flush=True)

def main():
    "Both, in a folder of their own"
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        changes(Path(folder))
        stays(Path(folder))

if __name__=='__main__':
    if sys.argv[2:]: jobs_of(sys.argv[1], json.loads(sys.argv[2]))
    elif sys.argv[1:]: on_ranks(Path(sys.argv[1]))
    else: main()
