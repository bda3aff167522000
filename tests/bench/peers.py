"""The same text, vocabulary size, row length and machine for this library, nanochat, nanoGPT and the Trainer of
transformers: how soon they start, how fast they go, and how good the model is after N minutes from the command.

    P='python tests/bench/peers.py --work W --text FOLDER --nanochat DIR --nanogpt DIR'
    $P prepare                                  # parquet shards, tokenizers, tokens: before any clock runs
    $P start                                    # command to first step with an empty and a full compile cache; speed
    $P sweep --minutes 10                       # nanochat's depths, steps and rates, two at a time, a core each
    $P one --minutes 10 --peers nanogpt --cores 1 1 depth=4 tokens=1024 rate=2    # a single setting
    $P pair --minutes 10 --with nanochat depth=4 tokens=2048 rate=1     # both at once, then the cores exchanged
    $P table --out nbs/reports/peers.json       # what was found, from W/results.jsonl

FOLDER holds train*.jsonl and val.jsonl. The peers' code is read where it lies; nothing of it is kept. Each program is
pinned to one core. Every finished run is a line of W/results.jsonl, and a run that has one is not repeated, so each
command can be stopped and given again. `--order K` shuffles the documents by K: another seed for programs that have
but one. Afterwards score.py scores every model on the same bytes. `chrt -r 1 python …` (as root)
lets nobody else on the core; what should be known of a comparison stands in `--said`."""
import argparse, json, os, platform, random, re, shutil, statistics, subprocess, sys, threading, time
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
T,VOCAB,GROUP = 256,8192,1000     # Tokens of a row, of the vocabulary; documents of a row group
SETTLED,PROBE = 5,25              # Steps before the speed counts, steps of a run that measures it
META = b'(dp0\nVvocab_size\np1\nI%d\ns.'   # The dict with the vocabulary that nanoGPT reads, as pickle's first protocol
COMPILES = 'nanochat',            # Programs that compile: their second start is another thing
PIECE = 1000                      # Of a document that nanochat is given whole or in pieces [characters]
PLAIN = dict(depth=4, tokens=2048, rate=1.)
OWN = dict(ours=PLAIN, nanochat=PLAIN | dict(pieces=0), nanogpt=PLAIN, trainer=PLAIN)
SWEPT = [dict(depth=d, tokens=t, rate=r, pieces=PIECE)
         for d in (4, 3, 2) for t in (1024, 2048, 4096) for r in (1., 2., .5)]
SWEPT += [dict(depth=d, tokens=2048, rate=1., pieces=0) for d in (4, 3, 2)]

# ------------------------------------------------------------ the text

def docs_of(folder, pattern):
    return [json.loads(l)['text'] for p in sorted(Path(folder).glob(pattern)) for l in open(p, encoding='utf-8')]

def prepare(a):
    "What each program needs before its command, in the order of --order"
    home,docs,valid = place(a),docs_of(a.text, 'train*.jsonl'),docs_of(a.text, 'val.jsonl')
    random.Random(a.order).shuffle(docs)
    home.mkdir(parents=True, exist_ok=True)
    for name,some in (('train', docs), ('val', valid)):
        (home/f'{name}.jsonl').write_text(''.join(json.dumps(dict(text=o))+'\n' for o in some), encoding='utf-8')
    shared_tokens(home/'shared', docs, valid)
    for n in (0, PIECE) if a.nanochat else ():
        base = base_of(a, dict(pieces=n))
        as_parquet(base/'base_data_climbmix', [o for d in docs for o in pieces(d, n)], valid)
        subprocess.run([sys.executable, '-m', 'scripts.tok_train', f'--vocab-size={VOCAB}'], cwd=a.nanochat, check=True,
                       env=env(a, base, 'nanochat'))
    shell = [sys.executable, '-m', 'pretrain', 'prepare', *config_of(a, OWN['ours'])]
    subprocess.run(shell, check=True, env=env(a, home, 'ours'))

def base_of(a, how): return place(a)/f'nanochat{how["pieces"] or ""}'

def pieces(doc, n):
    "A document in pieces of at most n characters, cut behind white space: of a row nanochat drops what does not fit"
    while n and len(doc)>n:
        at = max(doc.rfind(c, 0, n) for c in ' \n')+1 or n
        yield doc[:at]
        doc = doc[at:]
    yield doc

def as_parquet(folder, docs, valid):
    "Shards of which nanochat takes the last for validation"
    import pyarrow as pa, pyarrow.parquet as pq
    folder.mkdir(parents=True, exist_ok=True)
    for i,some in enumerate((docs, valid)):
        pq.write_table(pa.table(dict(text=some)), folder/f'shard_{i:05}.parquet', row_group_size=GROUP)

def shared_tokens(folder, docs, valid):
    "A byte-level tokenizer for nanoGPT and the Trainer, which bring none of this size, and their tokens"
    import numpy as np
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    folder.mkdir(parents=True, exist_ok=True)
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer,tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False),decoders.ByteLevel()
    how = dict(special_tokens=['<|endoftext|>'], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(docs, trainers.BpeTrainer(vocab_size=VOCAB, show_progress=False, **how))
    tok.save(str(folder/'tokenizer.json'))
    for name,some in (('train', docs), ('val', valid)):
        ids = [i for e in tok.encode_batch(some) for i in (0, *e.ids)]
        np.array(ids, np.uint16).tofile(folder/f'{name}.bin')
    (folder/'meta.pkl').write_bytes(META % VOCAB)

# ------------------------------------------------------------ the programs

def place(a): return Path(a.work).resolve()/f'order{a.order}'

def env(a, home, name, cache=''):
    "One thread; the compile cache that is meant"
    e = {**os.environ, 'OMP_NUM_THREADS':'1', 'PYTHONUNBUFFERED':'1', 'NANOCHAT_BASE_DIR':str(home),
         'TOKENIZERS_PARALLELISM':'false', 'WANDB_MODE':'disabled'}
    if cache: e['TORCHINDUCTOR_CACHE_DIR'] = str(cache)
    root = str(HERE.parents[1]) if name=='ours' else getattr(a, name, None)
    return e | dict(PYTHONPATH=str(root)) if root else e

def config_of(a, how):
    "Our config: a shipped one, shape and text, and what --ours says, which wins"
    home,width = place(a),64*how['depth']
    keys = {'model.n_layer': how['depth'], 'model.width': width, 'model.n_head': max(width//128, 1),
            'model.seq_len': T, 'tokenizer.vocab_size': VOCAB, 'loader.batch_rows': how['tokens']//T, 'seed': a.order,
            'data.train': home/'train.jsonl', 'data.valid': home/'val.jsonl', 'prepare.cache': home/'cache',
            'train.micro_rows': 0, 'train.device': 'cpu', 'sample.every': 0}
    return [a.config, *(f'{k}={v}' for k,v in keys.items()), *a.ours]

def nanochat(a, how, out, steps, minutes):
    rates = dict(embedding=.3, unembedding=.008, matrix=.02, scalar=.5)   # its defaults
    return ['-m', 'scripts.base_train', f'--depth={how["depth"]}', '--window-pattern=L', '--head-dim=128',
            f'--max-seq-len={T}', f'--device-batch-size={how["tokens"]//T}', f'--total-batch-size={how["tokens"]}',
            f'--num-iterations={steps}', '--eval-every=-1', '--core-metric-every=-1', '--sample-every=-1',
            f'--model-tag={out.name}', *(f'--{k}-lr={v*how["rate"]}' for k,v in rates.items())]

def nanogpt(a, how, out, steps, minutes):
    width,lr = 64*how['depth'],1e-3*how['rate']   # the rate of its example for a small machine
    return ['train.py', f'--dataset={place(a)/"shared"}', f'--out_dir={out}', '--device=cpu', '--compile=False',
            '--dtype=float32', f'--eval_interval={steps}', '--eval_iters=1', '--gradient_accumulation_steps=1',
            f'--batch_size={how["tokens"]//T}', f'--block_size={T}', f'--n_layer={how["depth"]}', f'--n_embd={width}',
            f'--n_head={max(width//128, 1)}', f'--max_iters={steps}', f'--lr_decay_iters={steps}', '--beta2=0.99',
            f'--learning_rate={lr}', f'--min_lr={lr/10}', f'--warmup_iters={steps//20}']

def trainer(a, how, out, steps, minutes):
    return [str(HERE/'trainer.py'), f'--data={place(a)/"shared"}', f'--out={out}', f'--steps={steps}',
            f'--depth={how["depth"]}', f'--tokens={how["tokens"]}', f'--lr={1e-3*how["rate"]}']

def ours(a, how, out, steps, minutes):
    long = [f'train.minutes={minutes}'] if minutes else [f'train.steps={steps}', f'schedule.warmup={steps//10}']
    return ['-m', 'pretrain', 'train', *config_of(a, how), f'out={out}', *long]

# Name to (command, what its log says of the seconds of a step, which file is its log, '' for what it prints)
PEERS = dict(ours=(ours, r'"step": (?P<n>[1-9]\d*),.*?"dt_s": (?P<s>[\d.e-]+)', 'metrics.jsonl'),
             nanochat=(nanochat, r'step (?P<n>\d+)/\d+ .*?\| dt: (?P<ms>[\d.]+)ms', ''),
             nanogpt=(nanogpt, r'iter (?P<n>\d+): loss .*?time (?P<ms>[\d.]+)ms', ''),
             trainer=(trainer, r'step (?P<n>\d+) took (?P<s>[\d.e-]+) s', ''))

def steps_seen(name, text):
    "Seconds of each step, in order"
    found = re.finditer(PEERS[name][1], text)
    return [float(m['s']) if 's' in m.groupdict() else float(m['ms'])/1000 for m in found]

# ------------------------------------------------------------ a run

def run(a, name, how, core, steps=0, minutes=0, cache=None):
    "Start a program on one core and watch its log: seconds to the first step, of a step, to the end"
    home,command,log_name = place(a),PEERS[name][0],PEERS[name][2]
    tag = '-'.join(str(o) for o in (name, *how.values(), steps or minutes, f'core{core}'))
    out,base = home/'runs'/tag,base_of(a, how) if name=='nanochat' else home
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(exist_ok=True)
    printed = out.parent/f'{tag}.log'
    log = out/log_name if log_name else printed
    if log.exists(): log.unlink()
    where = dict(nanochat=a.nanochat, nanogpt=a.nanogpt).get(name)
    cmd = ['taskset', '-c', str(core), sys.executable, *command(a, how, out, steps, minutes)]
    begun,first = time.monotonic(),None
    with open(printed, 'w') as f:
        p = subprocess.Popen(cmd, cwd=where, env=env(a, base, name, cache), stdout=f, stderr=subprocess.STDOUT)
        while p.poll() is None:
            if first is None and log.is_file() and steps_seen(name, log.read_text(errors='replace')):
                first = time.monotonic()-begun
            time.sleep(.05 if first is None else .5)
    end = time.monotonic()-begun
    took = steps_seen(name, log.read_text(errors='replace')) if log.is_file() else []
    if p.returncode or not took: raise RuntimeError(f'{name}: exit code {p.returncode}; see {printed}')
    dt = statistics.median(took[SETTLED:] or took)
    at = base/'base_checkpoints'/out.name if name=='nanochat' else out
    return dict(first_s=round(first or end, 2), dt_s=round(dt, 4), tok_per_s=round(how['tokens']/dt, 1), n=len(took),
                trained_s=round((first or end)+sum(took[1:]), 1), end_s=round(end, 1)),at

def scored(a, name, at):
    "The independent script, on the documents that are nobody's training text"
    extra = dict(nanochat=['--code', str(a.nanochat)], nanogpt=['--code', str(a.nanogpt)]).get(name, [])
    if name in ('nanogpt', 'trainer'): extra += ['--tokenizer', str(place(a)/'shared'/'tokenizer.json')]
    cmd = [sys.executable, str(HERE/'score.py'), name, str(at), '--valid', str(place(a)/'val.jsonl'),
           '--bytes', str(a.bytes), *extra]
    r = subprocess.run(cmd, env=env(a, place(a), name), capture_output=True, text=True)
    if r.returncode: raise RuntimeError(f'score: {r.stderr[-2000:]}')
    return json.loads(r.stdout.splitlines()[-1])

# ------------------------------------------------------------ what is known by now

LOCK = threading.Lock()

def results(a):
    path = Path(a.work)/'results.jsonl'
    return [json.loads(l) for l in path.read_text().splitlines()] if path.is_file() else []

def keep(a, **r):
    "One line for each finished run"
    r['load'] = round(os.getloadavg()[0], 1)   # processes that wanted to run
    with LOCK, open(Path(a.work)/'results.jsonl', 'a') as f: f.write(json.dumps(r)+'\n')
    print(json.dumps(r), flush=True)

def known(a, **key): return next((r for r in results(a) if all(r.get(k)==v for k,v in key.items())), None)

def probe(a, name, how, core):
    "Time to the first step with an empty compile cache, and a full one where there is one; speed; each once"
    shape = dict(kind='start', peer=name, depth=how['depth'], tokens=how['tokens'])
    cache = Path(a.work).resolve()/'compiled'/f'{name}-d{how["depth"]}-{how["tokens"]}'
    for state in ('cold', 'warm') if name in COMPILES else ('cold',):
        if known(a, **shape, cache=state): continue
        if state=='cold': shutil.rmtree(cache, ignore_errors=True)
        keep(a, **shape, cache=state, core=core, **run(a, name, how | dict(rate=1.), core, a.probe, cache=cache)[0])
    return cache

def steps_for(a, name, how):
    "Steps that end so many minutes after a command with an empty cache, from what was measured"
    at = known(a, kind='start', peer=name, depth=how['depth'], tokens=how['tokens'], cache='cold')
    return max(int(1+(60*a.minutes-at['first_s'])/at['dt_s']), 1)

def train(a, name, how, core, fresh=False):
    "A run of --minutes from the command, and its score; `fresh`: with an empty compile cache"
    key = dict(kind='train', peer=name, **how, minutes=a.minutes, order=a.order, core=core, fresh=fresh,
               settings=a.ours if name=='ours' else [])
    if known(a, **key): return
    cache = None if name=='ours' else probe(a, name, how, core)
    steps = 0 if name=='ours' else steps_for(a, name, how)
    if fresh and cache:
        cache = cache.with_name(f'{cache.name}-fresh{core}')
        shutil.rmtree(cache, ignore_errors=True)
    took,at = run(a, name, how, core, steps, 0 if steps else a.minutes, cache)
    found = scored(a, name, at)
    keep(a, **key, **took, bpb=found['bpb'], bytes=found['bytes'])

# ------------------------------------------------------------ commands

def at_once(*jobs):
    "Functions side by side; what one raises is raised"
    failed = []
    def guarded(job):
        try: job()
        except Exception as e: failed.append(e)
    threads = [threading.Thread(target=guarded, args=(j,)) for j in jobs]
    for t in threads: t.start()
    for t in threads: t.join()
    if failed: raise failed[0]

def start(a):
    for name in a.peers: probe(a, name, OWN[name] | a.how, a.cores[0])

def sweep(a):
    "Each setting of nanochat, as many at a time as there are cores"
    left = [h for h in SWEPT]
    for shape in {(h['depth'], h['tokens']): h for h in left}.values(): probe(a, 'nanochat', shape, a.cores[0])
    def worker(core):
        while True:
            with LOCK: how = left.pop(0) if left else None
            if how is None: return
            done = [r for r in results(a) if r['kind']=='train' and r['peer']=='nanochat' and r['minutes']==a.minutes
                    and r['order']==a.order and not r['fresh'] and all(r[k]==v for k,v in how.items())]
            if not done: train(a, 'nanochat', how, core)
    at_once(*(lambda c=c: worker(c) for c in a.cores))

def one(a):
    "A single setting of each of --peers on the first core"
    for name in a.peers: train(a, name, OWN[name] | a.how, a.cores[0])

def pair(a):
    "Ours and a peer side by side, then with the cores exchanged"
    theirs,mine = OWN[a.other] | a.how,OWN['ours'] | {k: a.how[k] for k in ('depth', 'tokens') if k in a.how}
    probe(a, a.other, theirs, a.cores[1])
    for x,y in (a.cores, a.cores[::-1]):
        at_once(lambda: train(a, 'ours', mine, x, True), lambda: train(a, a.other, theirs, y, True))

def table(a):
    "What was found, and with --out a file that the report notebook reads"
    rows = results(a)
    starts,trained = ([r for r in rows if r['kind']==k] for k in ('start', 'train'))
    for r in sorted(starts, key=lambda r: (r['peer'], r['depth'], r['tokens'])):
        print(f'{r["peer"]:<9} d{r["depth"]} {r["tokens"]:>5} {r["cache"]:<5} first step {r["first_s"]:7.1f} s '
              f'{r["tok_per_s"]:8.1f} tokens/s')
    for r in sorted(trained, key=lambda r: (r['minutes'], r['bpb'])):
        cut = 'pieces' if r.get('pieces') else ''
        print(f'{r["minutes"]:4g} min {r["peer"]:<9} d{r["depth"]} {r["tokens"]:>5} x{r["rate"]:<4g} {cut:<6} '
              f'core {r["core"]} order {r["order"]} {r["n"]:>5} steps, {r["trained_s"]:6.0f} s: '
              f'{r["bpb"]:.4f} bits per byte of {r["bytes"]:,} bytes')
    if a.out:
        machine = f'{platform.machine()}, {os.cpu_count()} cores'
        found = dict(date=date.today().isoformat(), machine=machine, said=a.said, rows=rows)
        Path(a.out).write_text(json.dumps(found, indent=1)+'\n')

COMMANDS = dict(prepare=prepare, start=start, sweep=sweep, one=one, pair=pair, table=table)

def setting(word):
    k,_,v = word.partition('=')
    return k,float(v) if k=='rate' else int(v)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('command', choices=COMMANDS)
    p.add_argument('how', nargs='*', type=setting, help='depth=4 tokens=2048 rate=1')
    p.add_argument('--work', required=True, help='where everything of the comparison lies')
    p.add_argument('--text', help='folder with train*.jsonl and val.jsonl')
    p.add_argument('--nanochat', type=Path, help="nanochat's code")
    p.add_argument('--nanogpt', type=Path, help="nanoGPT's code")
    p.add_argument('--peers', nargs='+', choices=PEERS, default=list(PEERS))
    p.add_argument('--with', dest='other', choices=PEERS, default='nanochat')
    p.add_argument('--minutes', type=float, default=10.)
    p.add_argument('--order', type=int, default=1, help='of the documents: a seed for all programs')
    p.add_argument('--bytes', type=int, default=300_000, help='of held-out text that every model is scored on')
    p.add_argument('--cores', nargs=2, type=int, default=(0, 1))
    p.add_argument('--out', help='with table: a file for what was found')
    p.add_argument('--said', default='', help='with --out: what else ran, and whatever should be known')
    p.add_argument('--config', default='quickstart', help='our config, to which shape and text are given')
    p.add_argument('--probe', type=int, default=PROBE, help='steps of a run that measures start and speed')
    p.add_argument('--ours', nargs='+', default=[], metavar='KEY=VALUE', help='more of our config')
    a = p.parse_intermixed_args()
    a.how,a.cores = dict(a.how),tuple(a.cores)
    for k in ('nanochat', 'nanogpt'): setattr(a, k, getattr(a, k) and getattr(a, k).resolve())
    COMMANDS[a.command](a)

if __name__=='__main__': main()
