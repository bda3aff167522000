"Needs processes: a run that is killed while it saves"
import os, random, shutil, signal, time
import torch
from pretrain.store.checkpoint import list_checkpoints, load_checkpoint, newest_checkpoint, save_checkpoint

def parts(step): return dict(model=dict(w=torch.full((64,64), float(step))), optimizer=dict(m=torch.arange(1000.)+step))

def saver(root, w, start):
    "Save step after step, and tell each that is saved"
    try:
        torch.set_num_threads(1)
        for s in range(start, 10**9):
            save_checkpoint(root, s, parts(s), dict(step=s), keep=2)
            os.write(w, b'%d\n' % s)
    finally: os._exit(1)

def first_line(r):
    "Of a pipe, once it is there; no byte more"
    line = b''
    while not line.endswith(b'\n') and (b := os.read(r, 1)): line += b
    return line.decode()

def test_killed_in_a_save(tmp_path):
    """Whenever SIGKILL comes: the newest checkpoint is intact, is the last one told or a later one, and the next
    process goes on from it"""
    root,rng,last,seen = tmp_path/'checkpoints',random.Random(0),-1,0
    t = time.monotonic()
    save_checkpoint(tmp_path/'timing', 1, parts(1), {})
    t = time.monotonic()-t
    for i in range(40):
        r,w = os.pipe()
        pid = os.fork()
        if pid==0: saver(root, w, last+1)
        os.close(w)
        first = first_line(r) if i%4==0 else ''   # however busy the machine is, some saves are finished
        time.sleep(rng.uniform(0, 4*t))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with open(r) as f: told = [int(l) for l in (first+f.read()).splitlines()]
        path,problems = newest_checkpoint(root)
        assert problems==[]
        if path is None:
            assert last==-1 and not told
            continue
        tensors,state = load_checkpoint(path)
        assert state['step']>=max(told+[last]) and tensors['model']['w'].eq(state['step']).all()
        last,seen = state['step'],seen+len(told)
    assert seen and last>0, 'no save was finished: nothing was tested'
    save_checkpoint(root, last+1, parts(last+1), {}, keep=2)
    assert len(list_checkpoints(root))==2 and sorted(os.listdir(root))==[p.name
        for _,p in reversed(list_checkpoints(root))], 'nothing unfinished stays behind'

def test_replacing_a_damaged_one(tmp_path):
    "The newest is damaged, the run comes by again and saves the same step; killed at any moment, a good one is found"
    root,rng = tmp_path/'checkpoints',random.Random(1)
    for _ in range(10):
        shutil.rmtree(root, ignore_errors=True)
        for s in (1,2): save_checkpoint(root, s, parts(s), dict(step=s), keep=2)
        f = root/'step_00000002'/'model.safetensors'
        b = bytearray(f.read_bytes())
        b[rng.randrange(len(b))] ^= 1
        f.write_bytes(b)
        r,w = os.pipe()
        pid = os.fork()
        if pid==0: saver(root, w, 2)
        os.close(w)
        time.sleep(rng.uniform(0.001, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(r)
        path,_ = newest_checkpoint(root)
        assert load_checkpoint(path)[1]['step']>=1
