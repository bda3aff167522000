"""The workflows of .github are YAML that GitHub can read, and what they call exists here. In tests/, since it reads
files of the repository."""
import configparser, os, re, shlex
from pathlib import Path
import pytest

yaml = pytest.importorskip('yaml')
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT/'.github/workflows').glob('*.yml'))
PROGRAMS = 'pip', 'python'   # That setup-python brings

def read(path):
    "A workflow; YAML 1.1 takes the key `on` for a truth"
    found = yaml.safe_load(path.read_text(encoding='utf-8'))
    return {'on' if k is True else k: v for k,v in found.items()}

def settings():
    c = configparser.ConfigParser(delimiters=['='])
    c.read(ROOT/'settings.ini', encoding='utf-8')
    return c['DEFAULT']

def wrong(line):
    "What is wrong with a command: a program, a file or an extra that is not there; or ''"
    first,*rest = shlex.split(line)
    if first not in PROGRAMS:
        at = ROOT/first
        return '' if at.is_file() and os.access(at, os.X_OK) else f'{first} cannot be run'
    if first=='python' and not (ROOT/rest[0]).is_file(): return f'no file {rest[0]}'
    known = {k.removesuffix('_requirements') for k in settings() if k.endswith('_requirements')}
    return ', '.join(f'no extra {o}' for o in re.findall(r'\.\[(\w+)\]', line) if o not in known)

def steps(flow): return [s for j in flow['jobs'].values() for s in j['steps']]

@pytest.mark.parametrize('path', FILES, ids=lambda p: p.stem)
def test_a_workflow_calls_what_there_is(path):
    flow = read(path)
    assert {'name', 'on', 'jobs', 'permissions'}<=flow.keys() and 'main' in flow['on']['push']['branches']
    assert flow['permissions']=={'contents': 'read'}   # a job that needs more says so itself
    for j in flow['jobs'].values():
        assert j['runs-on'] and j['timeout-minutes'] and {*[j.get('needs')]}-{None}<=flow['jobs'].keys()
    for s in steps(flow):
        assert ('run' in s)!=('uses' in s)
        assert not wrong(s['run']) if 'run' in s else re.fullmatch(r'actions/[\w-]+@v\d+', s['uses']), s

def test_tests_run_on_each_push_and_the_site_is_published():
    flows = {p.stem: read(p) for p in FILES}
    assert flows.keys()=={'test', 'docs'} and 'pull_request' in flows['test']['on']
    assert '.ci/run' in [s.get('run') for s in steps(flows['test'])]
    built = next(s['run'] for s in steps(flows['docs']) if '.ci/docs.py' in s.get('run', ''))
    sent = next(s['with']['path'] for s in steps(flows['docs']) if 'upload-pages' in s.get('uses', ''))
    assert built.endswith(f'--out {sent}')
    assert any('deploy-pages' in s.get('uses', '') for s in steps(flows['docs']))

def test_pythons_are_supported():
    least = tuple(map(int, settings()['min_python'].split('.')))
    found = [s['with']['python-version'] for p in FILES for s in steps(read(p)) if 'setup-python' in s.get('uses', '')]
    assert found and all(tuple(map(int, v.split('.')))>=least for v in found)

@pytest.mark.parametrize('line,why', [('python .ci/dcos.py', 'no file'), ('.ci/rnu', 'cannot be run'),
                                      ("pip install -e '.[dve]'", 'no extra dve'), ('.ci/docs.py', 'cannot be run')])
def test_a_command_that_is_gone_is_noticed(line, why): assert why in wrong(line)
