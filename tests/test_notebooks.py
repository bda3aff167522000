"""Every notebook, run top to bottom with nbdev's own runner and flags. In tests/, so that one pytest session counts
chapters and tests together."""
import os
import pytest
from nbdev import test as nbdev_test   # not `from nbdev.test import test_nb`: pytest would collect that name
from nbdev.config import get_config
from nbdev.doclinks import nbglob

cfg = get_config()
nbs = nbglob(as_path=True).sorted()

def name(nb): return nb.resolve().relative_to(cfg.nbs_path.resolve()).with_suffix('').as_posix()

@pytest.fixture
def clean(monkeypatch):
    "A notebook gets the state a fresh session would: default generators, dtype and figures, its own folder"
    import matplotlib.pyplot as plt, torch
    monkeypatch.chdir(cfg.nbs_path)
    monkeypatch.setenv('IN_TEST', '1')
    env,threads = dict(os.environ),torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    plt.close('all')
    os.environ.clear()
    os.environ.update(env)
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)

@pytest.mark.parametrize('nb', nbs, ids=name)
def test_notebook(nb, clean):
    ok,_ = nbdev_test.test_nb(nb.absolute(), skip_flags=cfg.tst_flags.split(), basepath=cfg.config_path)
    assert ok, f'{nb.name} failed; the cell and its traceback are in stderr'

def test_a_failing_cell_fails(tmp_path, clean):
    "The runner is a detector: a notebook with one false assertion must not pass"
    from execnb.nbio import mk_cell, new_nb, write_nb
    for src,want in [('assert 1+1==2', True), ('assert 1+1==3', False), ('1/0', False)]:
        write_nb(new_nb([mk_cell('# T\n\n> s', 'markdown'), mk_cell(src, 'code')]), tmp_path/'t.ipynb')
        assert nbdev_test.test_nb(tmp_path/'t.ipynb', showerr=False)[0]==want
