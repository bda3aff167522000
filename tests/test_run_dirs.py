"""Whose a directory is: what only looks changes nothing in it, a copied or moved run goes on where it lies, and what is
somebody else's is left alone. In tests/, since it is the command line that is asked."""
import hashlib, os, shutil
import pytest
from helpers import SMALL, write_texts
from pretrain.build import Run, load_config
from pretrain.cli import main
from pretrain.store.checkpoint import list_checkpoints
from pretrain.store.log import read_metrics

KEYS = [*SMALL, 'data.train=text', 'train.steps=6', 'eval.every=2', 'sample.every=0', 'checkpoint.best=true']

def tree(folder):
    "Everything below a folder, by content; and when each file was last written"
    return {p.relative_to(folder).as_posix(): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
            if p.is_file() else 'folder' for p in sorted(folder.rglob('*'))}

def steps(run): return [r['step'] for r in read_metrics(run/'metrics.jsonl')]

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "Some text, and a run of it that was stopped at its fourth step of six"
    d = tmp_path_factory.mktemp('runs')
    write_texts(d/'text', 30)
    before = os.getcwd()
    os.chdir(d)
    try:
        with Run('quickstart', say=None, out='run', **{k: v for k,v in map(pair, KEYS)}) as run:
            for _ in range(4): run.step()
    finally: os.chdir(before)
    return d

def pair(text):
    "A key and its value, as the command line reads them"
    key,_,_ = text.partition('=')
    value = load_config(None, [text])
    for k in key.split('.'): value = getattr(value, k)
    return key,value

@pytest.fixture
def here(made, tmp_path, monkeypatch):
    "A copy of all that, as the present folder"
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path

LOOKS = dict(check=['check', 'run'], sample=['sample', 'run', '--prompt', 'The', '--tokens', '3', '--device', 'cpu'],
             eval=['eval', 'run', '--device', 'cpu'], config=['config', 'run'],
             best=['sample', 'run@2', '--prompt', 'The', '--tokens', '3', '--device', 'cpu'])

def test_what_looks_changes_nothing(here):
    (here/'run/metrics.jsonl').open('a').write('{"step": 5, "loss": 1.0}\n{"step": 6, "lo')   # as a crash leaves it
    before = tree(here/'run')
    for how,args in LOOKS.items():
        if how=='best' and 2 not in dict(list_checkpoints('run/checkpoints')): continue
        assert main(args) in (0, 1), how               # a check that fails is an answer too
        assert tree(here/'run')==before, how

def test_a_check_of_a_new_run_leaves_no_directory(here):
    assert main(['check', 'quickstart', *KEYS, 'out=new']) in (0, 1)
    assert not (here/'new').exists()

def test_a_run_that_is_in_use_can_be_looked_at(here):
    with Run('run', say=None) as run:
        assert main(LOOKS['check']) in (0, 1)
        run.step()

@pytest.mark.parametrize('how', ['copy', 'copy of its folder', 'moved', 'linked'])
def test_a_run_goes_on_where_it_lies(here, how):
    before = tree(here/'run')
    if how=='moved': shutil.move('run', 'b')
    elif how=='linked': os.symlink('run', 'b')
    else: shutil.copytree('run', 'b')
    assert main(['train', 'b' if how=='copy of its folder' else 'b/config.toml'])==0
    assert steps(here/'b')==list(range(7)) and (here/'run').exists()==(how!='moved')
    if how.startswith('copy'): assert tree(here/'run')==before

def test_a_run_that_is_continued_from_elsewhere_reads_its_own_text(here):
    (here/'away/text').mkdir(parents=True)
    (here/'away/text/a.txt').write_text('Another text of the same name. '*50)
    os.chdir(here/'away')
    assert main(['train', '../run'])==0
    assert steps(here/'run')==list(range(7)) and sorted(os.listdir())==['text']

def test_after_a_change_of_folder_a_run_writes_where_it_began(here):
    (here/'away').mkdir()
    with Run('run', say=None) as run:
        os.chdir(here/'away')
        run.fit()
    assert steps(here/'run')==list(range(7)) and os.listdir()==[]

FOREIGN = {'a config of ones own': dict(config='# mine\nout = "exp1"\n'),
           'a tokenizer': dict(tokenizer='{}', samples='{"mine": 1}\n'), 'a note': dict(note='remember')}
NAMES = dict(config='config.toml', tokenizer='tokenizer/tokenizer.json', samples='samples.jsonl', note='note.md')

@pytest.mark.parametrize('what', FOREIGN)
def test_somebody_elses_folder_is_left_alone(here, what, capsys):
    for k,text in FOREIGN[what].items():
        p = here/'exp1'/NAMES[k]
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text(text)
    before = tree(here/'exp1')
    for command in ('train', 'check'):
        assert main([command, 'quickstart', *KEYS, 'out=exp1'])==2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert 'not empty and not a run of ours' in said and 'out = "exp1/run" would work' in said
    assert tree(here/'exp1')==before
    assert main(['train', 'quickstart', *KEYS, 'train.steps=2', 'schedule.warmup=0', 'out=exp1/run'])==0
    assert {k: v for k,v in tree(here/'exp1').items() if not k.startswith('run')}==before

def test_hidden_names_and_its_own_log_are_no_obstacle(here):
    (here/'new').mkdir()
    (here/'new/.gitkeep').touch()
    assert main(['train', 'quickstart', *KEYS, 'train.steps=1', 'schedule.warmup=0', 'out=new'])==0
    assert (here/'new/run.json').is_file()

def test_a_folder_that_cannot_be_written(here, capsys):
    (here/'file').touch()
    for out in ('file', 'file/run'):
        assert main(['train', 'quickstart', *KEYS, f'out={out}'])==2
        assert capsys.readouterr().err.strip().count('\n')==0

def test_remarks_in_a_runs_config_stay(here):
    path = here/'run/config.toml'
    path.write_text('# a remark\n'+path.read_text())
    assert main(['train', 'run'])==0
    assert path.read_text().startswith('# a remark\n')

def test_validation_by_hand_moves_nothing(here):
    "Neither is the best another one, nor is its checkpoint pruned"
    with Run('run', say=None) as run:
        while not run.done:
            best = run.best
            assert 'val_bpb' in run.validate() and run.best==best
            run.step()
    best = min((r for r in read_metrics('run/metrics.jsonl') if 'val_bpb' in r), key=lambda r: r['val_bpb'])
    assert run.best['step']==best['step'] and best['step'] in dict(list_checkpoints('run/checkpoints'))

def test_a_process_that_was_split_off_may_not_write(here):
    run = Run('run', say=None)
    if (pid := os.fork())==0:
        try: run.step()
        except ValueError as e: os._exit(7 if 'of which this one is a copy' in str(e) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])==7
    run.step()
    run.close()
