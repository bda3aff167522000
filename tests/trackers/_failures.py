"Trackers that fail, and what a run then says: once, and goes on"
import re
from dataclasses import dataclass
from _rig import GRACE_S, HERE, records

STEPS = 80
LATE = f'has taken nothing for {GRACE_S:g} s;'   # may be said before
OVER = rf'rows? sent, then {GRACE_S:g} s were over'
SENT = rf'\b{STEPS+1} rows sent$'

@dataclass(frozen=True)
class Case:
    "A way to fail"
    name:str             # Of a class in `zoo`, a sink, or of what happens to the process between
    said:str             # What the one line about it says, a regular expression
    sink:str = ''        # The sink, if it is not the class of that name
    quick:bool = True    # Is it tried in each run of the tests, beside others?
    env:dict = None      # More of the environment
    patience_s:float = 0 # How long something may be left behind, that is not ours

def zoo(name, said, quick=True): return Case(name, said, f'{HERE}/zoo.py:{name}', quick)

SINKS = [
    Case('raises when loaded', 'ImportError: half installed', f'{HERE}/_raises.py:Sink'),
    Case('hangs when loaded', OVER, f'{HERE}/_hangs.py:Sink', quick=False),
    zoo('Nothing', "AttributeError: module .* has no attribute 'Nothing'", quick=False),
    zoo('RaisesMade', 'RuntimeError: cannot be made', quick=False), zoo('HangsMade', OVER, quick=False),
    zoo('RaisesStart', 'ConnectionError: no network', quick=False), zoo('HangsStart', OVER, quick=False),
    zoo('Raises', 'ValueError: five is too many'), zoo('Hangs', OVER),
    zoo('RaisesFinish', 'ConnectionError: not uploaded', quick=False), zoo('HangsFinish', OVER, quick=False),
    zoo('Slow', OVER, quick=False), zoo('Killed', 'killed by SIGKILL', quick=False), zoo('Stopped', OVER, quick=False),
    zoo('Segfault', 'killed by SIGSEGV'), zoo('Aborts', 'killed by SIGABRT', quick=False),
    zoo('ExitsHard', 'ended with exit code 0'), zoo('Exits', 'SystemExit: 0', quick=False), zoo('Locked', OVER),
    zoo('Closes', 'Bad file descriptor|exit code', quick=False), zoo('Ignores', OVER, quick=False),
    zoo('Moves', SENT, quick=False), zoo('Deletes', SENT, quick=False), zoo('Garbage', SENT),
    zoo('Threads', SENT, quick=False), zoo('Leaves', SENT),
    zoo('WritesNowhere', 'No space left on device'),
    zoo('NoSpace', 'File too large|ended with exit code 1', quick=False),
    zoo('Eats', 'more than 2 GB of memory', quick=False), zoo('Good', SENT, quick=False),
]
SIDE = [   # what happens where the run is, not in a sink
    Case('no python', 'cannot be started.*No such file', env=dict(TRACKER_TEST_HOOK='no python')),
    Case('a file', 'cannot be started', env=dict(TRACKER_TEST_HOOK='a file')),
    Case('keeper killed', 'ended early, see', env=dict(TRACKER_TEST_HOOK='keeper killed')),
    Case('folder removed', 'No such file|exit code 1|rows sent', env=dict(TRACKER_TEST_HOOK='folder removed')),
    Case('forked', SENT, env=dict(TRACKER_TEST_HOOK='forked'), patience_s=10.),
]

def wrong(cases, said, run):
    "What is not as expected in the lines of a run, or ''"
    for c in cases:
        about = [s for s in said if LATE not in s and re.search(re.escape(c.sink)+'[:, ]', s)]
        if len(about)!=1: return f'{c.name}: {len(about)} lines: {said}'
        if not re.search(c.said, about[0]): return f'{c.name}: {about[0]}'
    steps = [r['step'] for r in records(run)]
    return '' if steps in ([*range(STEPS+1)], [*range(1, STEPS+1)]) else f'the record has steps {steps}'

def together(lab, cases, out, *keys):
    "All in one run; what is wrong, and by how much steps were longer"
    found,code,stray = lab.train('both', out, STEPS, *(c.sink or f'{HERE}/zoo.py:Good' for c in cases),
                                 f'track.grace_s={GRACE_S}', *keys, **(cases[0].env or {}))
    if code or 'said' not in found: return f'exit code {code}: {found}',0.
    if stray and cases[0].patience_s: stray = [s for s in stray if b'_trainer' not in s]
    if stray: return f'left behind: {stray}',found['ratio']
    return wrong(cases, found['said'], lab.folder/out),found['ratio']
