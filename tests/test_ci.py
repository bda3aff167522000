"""`.ci/run` is honest. In tests/, since it is a shell script that starts processes; here it runs tiny projects of
their own."""
import os, shutil, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
LEFT = 'IN_TEST', 'PYTHONDONTWRITEBYTECODE'   # in the environment of whoever calls it, and not of the tests

def ci(tmp, body, install='true', command=None):
    (tmp/'.ci').mkdir()
    (tmp/'tests').mkdir()
    (tmp/'t').mkdir()
    shutil.copy(ROOT/'.ci/run', tmp/'.ci/run')
    (tmp/'tests/test_x.py').write_text(f'def test_x(): {body}\n')
    cmd = command or f'python3 -m venv --without-pip .venv && {install} && {sys.executable} -m pytest'
    (tmp/'README.md').write_text(f'# T\n\n```bash\n{cmd}\n```\n')
    env = os.environ|{'TMPDIR': str(tmp/'t')}|dict.fromkeys(LEFT, '1')
    p = subprocess.run([tmp/'.ci/run'], cwd=tmp.parent, env=env, capture_output=True, text=True)
    assert list((tmp/'t').iterdir())==[], 'it left something behind'
    assert not (tmp/'.venv').exists()
    return p.returncode, p.stdout.strip().splitlines()[-1]

@pytest.mark.parametrize('body,install,code,says', [
    (f'import os; assert not {{*{LEFT}}}&{{*os.environ}}', 'true', 0, '1 passed'),
    ('assert 1==2', 'true', 1, '1 failed'), ('pass', 'false', 1, 'pytest did not finish'),
    ('import os; os._exit(0)', 'true', 1, 'pytest did not finish'),
    ('from pathlib import Path; p = Path("x"); seen = p.exists(); p.touch(); assert seen', 'true', 0, 'alone: '),
], ids=['passes', 'fails', 'install fails', 'dies', 'fails beside others'])
def test_run(body, install, code, says, tmp_path):
    got,last = ci(tmp_path, body, install)
    assert got==code and says in last, last

def test_run_needs_one_command(tmp_path): assert ci(tmp_path, 'pass', command='echo nothing')[0]==2

def test_tests_that_share_a_fixture_go_to_one_worker(request):
    "pytest-xdist 3.8 groups nothing under pytest 9.2, where every worker then makes the same things again"
    from conftest import shares
    shared = [i.nodeid for i in request.session.items if shares(i)]
    if hasattr(request.config, 'workerinput'): assert all('@' in o for o in shared)
