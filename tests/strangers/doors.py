"Where output goes, what the environment says, how a process is told to stop"
import os, signal, subprocess, sys, time
from _case import case
import helpers

def here(**more): return helpers.env(PYTHONPATH=os.pathsep.join(p for p in sys.path if p), PYTHONUNBUFFERED='1', **more)

# Output

def closed(lab, *args, shell):
    line = f'{sys.executable} -m pretrain {" ".join(args)} {shell}'
    p = subprocess.run(['bash', '-o', 'pipefail', '-c', line], cwd=lab.dir, env=here(), stderr=subprocess.PIPE,
                       text=True, timeout=120)
    return p.returncode, 'Traceback' in p.stderr, lab.saved()[-1:]

@case('standard output is closed: `>&-`', (0, False, [4]))
def stdout_closed(lab):
    lab.texts()
    return closed(lab, 'train', 'tiny.toml', shell='>&-')

@case('standard error is closed too', (0, False, [4]), full=True)
def both_closed(lab):
    lab.texts()
    return closed(lab, 'train', 'tiny.toml', shell='>&- 2>&-')

@case('standard input is closed', (0, False, [4]), full=True)
def stdin_closed(lab):
    lab.texts()
    return closed(lab, 'train', 'tiny.toml', shell='<&- >out')

@case('a reader that leaves at once, and a run that reaches its end', (0, False, [4]))
def reader_leaves(lab):
    lab.texts()
    return closed(lab, 'train', 'tiny.toml', shell='| true')

@case('a full disk behind standard output', (0, False, [4]), full=True)
def stdout_full(lab):
    lab.texts()
    return closed(lab, 'train', 'tiny.toml', shell='> /dev/full')

def encoded(lab, encoding, **env):
    lab.texts()
    lab.write('text/zz.txt', 'Ein Wörterbuch, 天地玄黄, \U0001f600.\n'*40)
    lab.write('c.toml', 'include = "tiny.toml"\n[sample]\nprompts = ["天"]\n')
    d = lab.command('train', 'c.toml', env=dict(PYTHONIOENCODING=encoding, **env))
    return d.code, 'Traceback' in d.text, lab.saved()[-1:]

@case('standard output in ASCII', (0, False, [4]))
def stdout_ascii(lab): return encoded(lab, 'ascii')

@case('standard output in cp1252', (0, False, [4]), full=True)
def stdout_cp1252(lab): return encoded(lab, 'cp1252')

@case('the locale C and no UTF-8 mode', (0, False, [4]), full=True)
def locale_c(lab): return encoded(lab, '', LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')

# What launchers leave behind

def left_behind(lab, *args, **env):
    "An environment of a launcher that is gone"
    d = lab.command(*args, env=env, timeout=60)
    return 'hangs' if d.code==124 else 'a traceback' if 'Traceback' in d.text else f'exit {d.code}'

def trained(lab):
    lab.texts()
    assert lab.train().code==0

@case('`WORLD_SIZE=1 RANK=0` left in the environment, `eval`', 'exit 0', full=True)
def world_of_one(lab):
    trained(lab)
    return left_behind(lab, 'eval', 'run', WORLD_SIZE='1', RANK='0')

@case('`WORLD_SIZE=2` alone, `eval`', True)
def world_size_alone(lab):
    trained(lab)
    return left_behind(lab, 'eval', 'run', WORLD_SIZE='2') in ('exit 0', 'exit 2')

@case('`WORLD_SIZE=2` alone, `train`: one line', 'exit 2', full=True)
def world_size_alone_train(lab):
    lab.texts()
    return left_behind(lab, 'train', 'tiny.toml', WORLD_SIZE='2')

@case('`WORLD_SIZE=two`', True, full=True)
def world_size_in_words(lab):
    lab.texts()
    return left_behind(lab, 'train', 'tiny.toml', WORLD_SIZE='two', RANK='0') in ('exit 0', 'exit 2')

@case('`torchrun … eval RUN`', (0, False), full=True)
def torchrun_eval(lab):
    trained(lab)
    p = helpers.pretrain('eval', 'run', cwd=lab.dir, n_proc=2)
    return p.returncode, 'Traceback' in p.stderr

@case('`WORLD_SIZE=2 RANK=0` with nobody to meet: said, and SIGTERM ends it', ('said', 143), full=True)
def waits_for_others(lab):
    lab.texts()
    env = here(WORLD_SIZE='2', RANK='0', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1', MASTER_PORT='29631')
    with open(lab.dir/'said', 'w') as f:
        p = subprocess.Popen([sys.executable, '-m', 'pretrain', 'train', 'tiny.toml'], cwd=lab.dir, env=env, stdout=f,
                             stderr=f)
    end = time.monotonic()+40
    while time.monotonic()<end and 'wait' not in (lab.dir/'said').read_text() and p.poll() is None: time.sleep(.2)
    said = 'said' if 'wait' in (lab.dir/'said').read_text() else 'silent'
    p.send_signal(signal.SIGTERM)
    try: return said, p.wait(15)
    except subprocess.TimeoutExpired:
        p.kill()
        return said, 'deaf'

# Machines

@case('`train.compile` without a compiler: one line, and the run goes on', (True, [4]), full=True)
def no_compiler(lab):
    lab.texts()
    env = dict(CC='/bin/false', CXX='/bin/false', PATH='/nowhere')
    d = lab.command('train', 'tiny.toml', 'train.compile=true', env=env, timeout=200)
    return d.code==0 and 'Traceback' not in d.text, lab.saved()[-1:]

@case('`load_model` leaves torch\'s generator alone', True)
def load_leaves_generator(lab):
    import torch
    from pretrain.build import load_model
    lab.texts()
    lab.fit()
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    load_model('run', 'cpu')
    return torch.rand(3).equal(want)

@case('a temperature of 1e-50 is answered by its name, or as 0', True)
def tiny_temperature(lab):
    lab.texts()
    run = lab.fit()
    try: return run.sample('The ', temperature=1e-50)==run.sample('The ', temperature=0.)
    except ValueError as e: return 'temperature' in str(e)

@case('`top_k=-1` and `top_k=None`, as others write "all"', True)
def top_k_of_others(lab):
    from types import SimpleNamespace
    from pretrain.export.harness import Answers
    lab.texts()
    run = lab.fit()
    a = Answers(run.model.eval(), run.tok)
    how = dict(until=['.'], max_gen_toks=3, do_sample=True, temperature=1., seed=1)
    texts = [a.generate_until([SimpleNamespace(args=('The ', how | dict(top_k=k)))]) for k in (0, -1, None)]
    return texts[0]==texts[1]==texts[2]

@case('eight repeats of one request with sampling', True)
def repeats_differ(lab):
    from types import SimpleNamespace
    from pretrain.export.harness import Answers
    lab.texts()
    run = lab.fit()
    how = dict(until=[], max_gen_toks=12, do_sample=True, temperature=1.)
    got = Answers(run.model.eval(), run.tok).generate_until([SimpleNamespace(args=('The ', how))]*8)
    return len(set(got))>4

@case('the same eight asked again are the same eight', True)
def repeats_repeat(lab):
    from types import SimpleNamespace
    from pretrain.export.harness import Answers
    lab.texts()
    run = lab.fit()
    how = dict(until=[], max_gen_toks=12, do_sample=True, temperature=1.)
    ask = lambda: Answers(run.model.eval(), run.tok).generate_until([SimpleNamespace(args=('The ', how))]*8)
    return ask()==ask()

@case('`max_tokens` and `max_new_tokens` mean what `max_gen_toks` means, or are answered', True)
def names_of_others(lab):
    from types import SimpleNamespace
    from pretrain.export.harness import Answers
    lab.texts()
    run = lab.fit()
    a = Answers(run.model.eval(), run.tok)
    def ask(**how):
        try: return a.generate_until([SimpleNamespace(args=('The ', dict(until=[], **how)))])
        except ValueError as e: return str(e)
    want = ask(max_gen_toks=3)
    return [ask(**{k: 3})==want or k in str(ask(**{k: 3})) for k in ('max_tokens', 'max_new_tokens')]==[True, True]

@case('SIGTERM before the first step, while the text is read: exit 143, and the next start works', (143, 0), full=True)
def stopped_early(lab):
    lab.texts(n=300)
    args = [sys.executable, '-m', 'pretrain', 'train', 'tiny.toml', 'tokenizer.vocab_size=800']
    p = subprocess.Popen(args, cwd=lab.dir, env=here(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.readline()
    p.send_signal(signal.SIGTERM)
    p.communicate()
    return p.returncode, lab.train('tokenizer.vocab_size=800').code

@case('`check` of a run in which something is wrong', ('exit 1, 0 lines', True))
def check_finds_something(lab):
    lab.texts()
    d = lab.main('check', 'tiny.toml', 'preflight.init_tol=1e-9')
    return d.answer(), 'FAIL' in d.out or '1 failed' in d.out or '1 of' in d.out

@case('`check` of a run in which nothing is wrong', 'exit 0, 0 lines')
def check_finds_nothing(lab):
    lab.texts()
    return lab.main('check', 'tiny.toml').answer()

@case('`torch.set_grad_enabled(False)` in an earlier cell or an evaluation, `inference_mode` around the making: '
      'check, a step by hand, `fit`', (True, 4))
def gradients_switched_off(lab):
    import torch
    lab.texts()
    torch.set_grad_enabled(False)
    try:
        with torch.inference_mode(): run = lab.run(evals=dict(mine=lambda run: torch.set_grad_enabled(False) and None))
        ok = run.check().ok
        run.step()
        with torch.inference_mode(): run.fit()
        return ok, run.n_step
    finally: torch.set_grad_enabled(True)

@case('`MPLBACKEND` of another machine: the run ends well, without its picture', (0, True, [4]), full=True)
def unknown_backend(lab):
    lab.texts()
    d = lab.command('train', 'tiny.toml', env=dict(MPLBACKEND='nonsense'))
    return d.code, d.says('plot not drawn', 'nonsense'), lab.saved()[-1:]
