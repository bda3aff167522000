"""The completion register tells the truth. In tests/, since only a pytest session knows which tests ran and passed."""
import json, os, shutil, subprocess, sys
from pathlib import Path
import pytest
import register as R

HERE = Path(__file__).parent

def test_register_is_complete():
    reg = R.read_register()
    assert list(reg)==[f'P{i}' for i in range(1, 19)]
    assert all(e['name'] and e['means'].endswith('.') for e in reg.values())

def test_claims_exist(): assert R.unshown(R.read_register())==[]

def shown(nb):
    "Markdown that the cells of a notebook have saved"
    cells = json.loads((R.ROOT/nb).read_text(encoding='utf-8'))['cells']
    return [''.join(o['data']['text/markdown']) for c in cells
            for o in c.get('outputs', []) if 'text/markdown' in o.get('data', {})]

def test_pages_show_the_register():
    "Else run nbs/register.ipynb and nbs/index.ipynb again, save them, and python .ci/readme.py"
    reg = R.read_register()
    assert shown('nbs/register.ipynb')==[R.table(reg), R.proofs(reg)]
    assert shown('nbs/index.ipynb')[-1:]==[R.summary(reg)]

def test_headings_are_claims(tmp_path):
    (tmp_path/'nbs').mkdir()
    cells = [('markdown', '# T'), ('code', 'x = 1'), ('markdown', '## Two'), ('code', 'for i in (1,2): assert i'),
             ('markdown', 'Text.\n\n### Three'), ('code', 'test_eq(1, 1)')]
    (tmp_path/'nbs/00_x.ipynb').write_text(json.dumps(dict(cells=[dict(cell_type=t, source=s) for t,s in cells])))
    why = {h: R.missing(f'nbs/00_x.ipynb#{h}', tmp_path) for h in ('T', 'Two', 'Three', 'Four')}
    assert (why['Two'],why['Three'])==('','') and 'nothing is asserted' in why['T'] and 'no heading' in why['Four']
    ran = {f'{R.NB_TEST}[00_x]': 'passed', f'{R.NB_TEST}[00_xy]': 'failed'}
    assert R.outcomes_of('nbs/00_x.ipynb#Two', ran)==['passed'] and R.outcomes_of('nbs/01_y.ipynb#Two', ran)==[]

def test_register_outcomes(outcomes):
    "Runs last (see conftest); after a part of the suite there is nothing to judge"
    if outcomes is None: pytest.skip('only a part of the suite was asked for: claims are judged after all of it')
    assert R.unshown(R.read_register(), outcomes)==[]

SUITE = '''
import pytest
def test_good(): assert 1+1==2
@pytest.mark.parametrize('i', [0,1])
def test_both(i): assert i in (0,1)
@pytest.mark.skip(reason='shown to be noticed')
def test_skipped(): assert True
@pytest.mark.parametrize('i', [0,1])
def test_half(i):
    if i: pytest.skip('shown to be noticed')
'''
def claim(*tests, status='works'):
    return f'[P1]\nname = "n"\nmeans = "m."\nstatus = "{status}"\nshown_by = {list(tests)!r}\n'

def session(tmp, reg, *args):
    "A tiny suite with the real conftest and register, in a pytest of its own"
    t = tmp/'tests'
    t.mkdir()
    for f in ('conftest.py', 'register.py'): shutil.copy(HERE/f, t)
    src = (HERE/'test_register.py').read_text(encoding='utf-8')
    (t/'test_register.py').write_text('import pytest, register as R\n'
                                      + src[src.index('def test_register_outcomes'):src.index('\nSUITE')],
                                      encoding='utf-8')
    (t/'test_tiny.py').write_text(SUITE)
    (t/'register.toml').write_text(reg)
    (tmp/'pyproject.toml').write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    env = {k:v for k,v in os.environ.items() if not k.startswith('PYTEST')}
    p = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *args], cwd=tmp, env=env,
                       capture_output=True, text=True)
    return p.returncode, p.stdout

T = 'tests/test_tiny.py::'
@pytest.mark.parametrize('claims,why', [
    ([T+'test_good', T+'test_both'], ''), ([T+'test_both[1]'], ''),
    ([T+'test_skipped'], 'skipped'), ([T+'test_half'], 'skipped'), ([T+'test_absent'], 'no test_absent'),
    (['tests/test_none.py::test_x'], 'no file'), ([T+'test_both[7]'], 'not run'),
    (['nbs/00_x.ipynb#Head'], 'no notebook'),
], ids=['true', 'one parameter', 'skipped', 'half skipped', 'no test', 'no file', 'no parameter', 'no notebook'])
def test_false_claim_is_noticed(claims, why, tmp_path):
    rc,out = session(tmp_path, claim(*claims))
    assert (rc==0)==(why==''), out
    assert why in out

@pytest.mark.parametrize('claims,why', [([T+'test_good', T+'test_both'], ''), ([T+'test_half'], 'skipped')],
                         ids=['true', 'half skipped'])
def test_workers_tell_each_other(claims, why, tmp_path):
    rc,out = session(tmp_path, claim(*claims), '-n', '2', '--dist', 'loadgroup')
    assert (rc==0)==(why==''), out
    assert why in out

def test_part_of_the_suite_is_not_judged(tmp_path):
    rc,out = session(tmp_path, claim(T+'test_skipped'), '-k', 'good or outcomes')
    assert rc==0 and '1 passed' in out and '1 skipped' in out, out

def test_malformed_entries_are_errors(tmp_path):
    f = tmp_path/'r.toml'
    for text,why in [(claim(), 'names no test'), (claim('x', status='perhaps'), 'use one of')]:
        f.write_text(text)
        with pytest.raises(ValueError, match=why): R.read_register(f)
