"A process that ends before or after any single operation on files; disks that are full, read-only, or gone"
import errno, hashlib, json, random, shutil
from common import Row, fault
from helpers import write_texts
from _lab import Lab, both_cores, server
from damage import parts
from pretrain.store.checkpoint import list_checkpoints, load_checkpoint, newest_checkpoint, save_checkpoint
from pretrain.data.corpus import CorpusConfig
from pretrain.data.prepare import PrepareConfig, get_tokenizer, prepare
from pretrain.data.bpe import TokenizerConfig
from pretrain.store.log import MetricsLog, read_metrics

def settings(tmp):
    "Of corpus, tokenizer and preparation"
    prep = PrepareConfig(cache=f'{tmp}/cache', workers=1, shard_chars=20_000)
    return CorpusConfig(train=(f'{tmp}/text',)), TokenizerConfig(vocab_size=300), prep

def quietly(s): pass

def tokenizer(tmp): return get_tokenizer(*settings(tmp), say=quietly)

def preparation(tmp):
    d,_,p = settings(tmp)
    return [prepare(d, tokenizer(tmp), p, split, say=quietly) for split in ('train','valid')]

def save(tmp): save_checkpoint(tmp/'checkpoints', 20, parts(20), dict(step=20), keep=1)

def log(tmp):
    with MetricsLog(tmp/'metrics.jsonl') as f:
        f.truncate(2)
        for s in range(f.step+1, 8): f.append(dict(step=s))
        f.sync()

BODIES = dict(save=save, retention=save, tokenizer=tokenizer, preparation=preparation, log=log)

def begin(what, tmp):
    "What is there before"
    tmp.mkdir(parents=True)
    if what in ('tokenizer','preparation'): write_texts(tmp/'text', 12)
    if what=='retention': save_checkpoint(tmp/'checkpoints', 10, parts(10), dict(step=10), keep=1)
    if what=='log':
        whole = ''.join(json.dumps(dict(step=s))+'\n' for s in range(5))
        (tmp/'metrics.jsonl').write_text(whole+'{"step": 5, "lo')

def hashes(tmp):
    "Content of what is to be the same as in a clean build; locks and the memory of files, which has paths, aside"
    def counts(p): return p.is_file() and p.suffix!='.lock' and not p.name.startswith(('.files.json','.corpora.json'))
    files = [p for p in sorted(tmp.rglob('*')) if counts(p)]
    return {p.relative_to(tmp).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

# Exit code that multiprocessing gives when the fork server couldn't tell it: nothing was learnt, it is tried again
LOST = 255

def run(ctx, fn, *a, **kw):
    "The exit code of a process"
    p = ctx.Process(target=fn, args=a, kwargs=kw)
    p.start()
    p.join()
    return p.exitcode

def afresh(ctx, fn, what, tmp, *a, **kw):
    "The exit code of a process that begins with what is there before"
    code = LOST
    while code==LOST:
        shutil.rmtree(tmp, ignore_errors=True)
        begin(what, tmp)
        code = run(ctx, fn, what, tmp, *a, **kw)
    return code

def steps_of(tmp): return [r['step'] for r in read_metrics(tmp/'metrics.jsonl')]

def old_or_new(what, tmp):
    "Does the next process find the old or the new?"
    if what in ('save','retention'):
        path,problems = newest_checkpoint(tmp/'checkpoints')
        if problems: return False
        return what=='save' if path is None else load_checkpoint(path)[1]['step'] in (10,20)
    if what=='log':
        steps = steps_of(tmp)
        return steps==list(range(len(steps))) and len(steps)>=3
    return True

def completed(what, tmp, clean):
    "Is there now what would be there had nothing happened, and nothing else?"
    if what in ('save','retention'):
        steps = [s for s,_ in list_checkpoints(tmp/'checkpoints')]
        return steps==[20] and len(list((tmp/'checkpoints').iterdir()))==1
    if what=='log': return steps_of(tmp)==list(range(8))
    return hashes(tmp)==clean

def recovered(what, ctx, tmp, clean):
    "Does the next process find the old or the new, and does the same command end where it would have?"
    from _ops import does
    if not old_or_new(what, tmp): return False
    code = LOST
    while code==LOST: code = run(ctx, does, what, tmp)
    return code==0 and completed(what, tmp, clean)

@fault
def operations(full, seed, tmp):
    "The process ends before and after every operation on files"
    from _ops import dies, does
    ctx,rows,rng = server(),[],random.Random(seed)
    for what in BODIES:
        whole,counted = tmp/what/'clean',tmp/what/'count'
        assert afresh(ctx, does, what, whole)==0
        r,w = ctx.Pipe(False)
        assert afresh(ctx, dies, what, counted, 0, '', count=w)==0
        n,clean = r.recv(),hashes(whole)
        todo = [(k, when) for k in range(1, n+1) for when in ('before','after')]
        if not full: todo = rng.sample(todo, min(6, len(todo)))
        def one(o):
            d = tmp/what/f'{o[0]}{o[1]}'
            ok = afresh(ctx, dies, what, d, *o)==9 and recovered(what, ctx, d, clean)
            shutil.rmtree(d)
            return ok
        res = both_cores(one, todo)
        rows.append(Row(f'{what}: ended at any operation, the old or the new is there, and the same call completes it',
                        len(res), sum(res), f'{n} operations, before and after'))
    return rows

@fault
def full_disk(full, seed, tmp):
    "No room at 30 places of a save; read-only and vanished directories"
    from _ops import full_disk as plant, vanish
    rng,over = random.Random(seed),('train.save_every=4','checkpoint.retries=0')
    lab = Lab(tmp, 'train.steps=14', 'eval.every=0')
    size = sum(p.stat().st_size for p in newest_checkpoint(tmp/'whole'/'checkpoints')[0].iterdir())
    cases = [(plant, int(size*rng.random())) for _ in range(30 if full else 4)]
    cases += [(plant, 0, error, 'mkdir') for error in (errno.EROFS, errno.EACCES)]
    def lines(out): return [l for l in lab.said(out).splitlines() if l.startswith('pretrain: ')]
    def traceback(out): return 'Traceback' in lab.said(out)
    def one(i):
        out = f'full{i}'
        code = lab.start(out, *over, plant=cases[i]).end()
        said = lines(out)
        path,problems = newest_checkpoint(tmp/out/'checkpoints')
        told = code==2 and len(said)==1 and 'not saved' in said[0] and not traceback(out)
        kept = told and path.name=='step_00000004' and not problems
        held = kept and lab.start(out, *over).end()==0 and lab.same_end(out)
        if not held: print(f'{out}: exit {code}, {path.name}, {problems}, {lab.said(out)[-2000:]}')
        return held
    res = both_cores(one, range(len(cases)))
    code = lab.start('gone', *over, plant=(vanish, 6)).end()
    gone = code in (0,2) and not traceback('gone') and len(lines('gone'))==(code==2)
    return [Row('no room, read-only, no permission: one line, exit 2, the previous checkpoint is used, '
                'and with room again the run ends as it would have',
                len(res), sum(res), f'checkpoints of {size:,} bytes'),
            Row('the run directory vanishes: a defined exit without a traceback', 1, int(gone), f'exit {code}')]
