"Needs processes: a wheel is built, installed in an empty environment, and trains from any folder"
import subprocess, sys, sysconfig
from pathlib import Path
from helpers import SMALL, env

repo = Path(__file__).parent.parent

def sh(*args, cwd, **kw):
    return subprocess.run([*map(str, args)], cwd=cwd, env=env(**kw), capture_output=True, text=True, timeout=600)

def test_wheel_trains_the_shipped_config(tmp_path):
    src = tmp_path/'src'
    files = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=repo, capture_output=True, text=True,
                           check=True).stdout.split('\n')
    for f in filter(None, files):
        if (repo/f).is_file() and f.split('/')[0] in ('pretrain', 'configs', 'setup.py', 'settings.ini',
                                                      'pyproject.toml', 'README.md', 'LICENSE'):
            (src/f).parent.mkdir(parents=True, exist_ok=True)
            (src/f).write_bytes((repo/f).read_bytes())
    r = sh(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '-w', tmp_path/'dist', src, cwd=tmp_path)
    assert r.returncode==0, r.stderr
    wheel, = (tmp_path/'dist').glob('pretrain-*.whl')
    assert sh(sys.executable, '-m', 'venv', tmp_path/'v', cwd=tmp_path).returncode==0
    py = tmp_path/'v'/'bin'/'python'
    assert sh(py, '-m', 'pip', 'install', '-q', '--no-deps', wheel, cwd=tmp_path).returncode==0
    # the libraries it needs, without installing a gigabyte again; .pth files in there, such as an editable pretrain's,
    # are not followed
    site, = (tmp_path/'v'/'lib').glob('python*/site-packages')
    (site/'libraries.pth').write_text(sysconfig.get_paths()['purelib']+'\n')
    away = tmp_path/'anywhere'
    away.mkdir()
    r = sh(py, '-c', 'import pretrain; print(pretrain.__file__)', cwd=away)
    assert str(site) in r.stdout, r.stdout+r.stderr
    small = [o for o in SMALL if not o.startswith('model.')]
    r = sh(tmp_path/'v'/'bin'/'pretrain', 'train', 'quickstart', *small, 'train.steps=3', 'schedule.warmup=1', cwd=away)
    assert r.returncode==0, r.stdout+r.stderr
    assert 'bits per byte' in r.stdout and (away/'runs/quickstart/report/loss.png').stat().st_size>5000
    names = sh(py, '-c', 'from pretrain.store.shipped import config_dir; print(*sorted(p.name for p in '
               'config_dir().iterdir()))', cwd=away).stdout.split()
    assert set(names) >= {p.name for p in (repo/'configs').iterdir()}
    assert (site/'pretrain/play.html').read_bytes()==(repo/'pretrain/play.html').read_bytes()
