"A place with a corpus, processes that train there, and what they leave"
import json, subprocess, sys, time, uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from helpers import env, write_texts

HERE = Path(__file__).resolve().parent
GRACE_S = 15.      # `track.grace_s` of these runs [s]
MARK = 'PRETRAIN_TRACKER_TEST'   # in the environment of a process and of all that it starts

class Lab:
    "A folder with texts and a cache that all runs in it share"
    def __init__(self, folder):
        self.folder = Path(folder)
        if not (self.folder/'texts').exists(): write_texts(self.folder/'texts', 12)

    def start(self, *args, **more):
        "A process of `_trainer.py`, and the mark of all that comes from it"
        mark = uuid.uuid4().hex
        known = {k: v for k,v in env().items() if not k.startswith(('WANDB', 'TRACKIO'))}
        known |= {MARK: mark, 'TRACKIO_DIR': str(self.folder/'trackio'), **more}
        with open(self.folder/'stderr', 'ab') as err:
            p = subprocess.Popen([sys.executable, str(HERE/'_trainer.py'), *map(str, args)], cwd=self.folder, env=known,
                                 stdout=subprocess.PIPE, stderr=err, text=True, stdin=subprocess.DEVNULL)
        return p,mark

    def train(self, *args, timeout_s=300, **more):
        "What a process reports, its exit code, and what is left of its processes"
        p,mark = self.start(*args, **more)
        out,_ = p.communicate(timeout=timeout_s)
        rows = [l for l in out.splitlines() if l.startswith('{')]
        return json.loads(rows[-1]) if rows else dict(out=out),p.returncode,left(mark)

def left(mark, patience_s=0.):
    "Command lines of processes with a mark in their environment, after some patience"
    until = time.monotonic()+patience_s
    while True:
        found = []
        for f in Path('/proc').glob('[0-9]*'):
            try:
                if f'{MARK}={mark}'.encode() in (f/'environ').read_bytes(): found.append((f/'cmdline').read_bytes())
            except OSError: pass
        if not found or time.monotonic()>until: return found
        time.sleep(.1)

def records(run): return [json.loads(l) for l in (Path(run)/'metrics.jsonl').read_text().splitlines()]
