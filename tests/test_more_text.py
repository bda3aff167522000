"""Needs processes: a run gets more text, so that another tokenizer would be learned; the line that refuses says what
lets it go on, and that is what happens"""
import re, shlex, shutil
import pytest
from helpers import SMALL, pretrain, write_texts
from pretrain.data.tokenizer import Tokenizer

ARGS = ['train', 'c.toml', *SMALL, 'eval.every=0', 'schedule.warmup=0', 'preflight.at_start=false', 'out=my run']

@pytest.fixture
def here(tmp_path):
    write_texts(tmp_path/'text', 20)
    (tmp_path/'c.toml').write_text('[data]\ntrain = "text"\n')
    r = pretrain(*ARGS, 'train.steps=2', cwd=tmp_path)
    assert r.returncode==0, r.stderr
    (tmp_path/'text'/'zzz.txt').write_text('Owls hoot at the moon, and the moon listens.\n'*200)
    return tmp_path

def test_the_line_that_refuses_says_what_works(here):
    was = Tokenizer.load(here/'my run/tokenizer')
    r = pretrain(*ARGS, 'train.steps=4', cwd=here)
    assert r.returncode==2 and r.stderr.count('\n')==1 and 'tokenizer was' in r.stderr, r.stderr
    offered, = shlex.split(re.search(r'; (\S*tokenizer\.path=.*/tokenizer\S*) keeps', r.stderr)[1])
    assert offered=='tokenizer.path=my run/tokenizer'
    r = pretrain(*ARGS, 'train.steps=4', offered, cwd=here)   # another text is a question of its own
    assert r.returncode==2 and 'train was' in r.stderr and 'train.allow=train' in r.stderr, r.stderr
    r = pretrain(*ARGS, 'train.steps=4', offered, 'train.allow=["train","valid"]', cwd=here)
    assert r.returncode==0 and 'step_00000002 at step 2 of 4' in r.stdout, r.stderr
    assert 'from my run/tokenizer' in r.stdout
    assert Tokenizer.load(here/'my run/tokenizer')==was
    shutil.move(here/'my run', here/'elsewhere')   # its own tokenizer moves with it
    r = pretrain('train', 'elsewhere/config.toml', 'train.steps=5', 'out=elsewhere', cwd=here)
    assert r.returncode==0 and 'from elsewhere/tokenizer' in r.stdout and 'at step 4 of 5' in r.stdout, r.stderr
