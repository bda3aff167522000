"The results of the battery as a reader sees them"
import json, re
from pathlib import Path

RESULTS = Path(__file__).resolve().parent/'results.json'
TIERS = {True: 'full', False: 'short'}

class Md(str):
    "Markdown that a notebook shows as such"
    def _repr_markdown_(self): return str(self)

def read(path=RESULTS):
    "Results by experiment; none where nothing has been recorded"
    return json.loads(Path(path).read_text(encoding='utf-8')) if Path(path).exists() else {}

def names():
    "Every experiment there is, by file and order"
    texts = [f.read_text(encoding='utf-8') for f in sorted(RESULTS.parent.glob('[!_]*.py'))]
    return [n for text in texts for n in re.findall(r'^@fault\ndef (\w+)', text, re.M)]

def cell(s): return str(s).replace('|', '\\|')

def promises(res):
    "Every promise with how often it was tried and how often it held"
    if not res: return Md('')
    rows = ['| Promise | Held | Tried | Tier | What was done |','|----|-:|-:|--|----|']
    for name,e in res.items():
        for r in e['rows']:
            held = f"{r['held']:,}" if r['held']==r['tried'] else f"**{r['held']:,}**"
            done = f'`{name}`: {cell(r["note"])}' if r['note'] else f'`{name}`'
            rows.append(f"| {cell(r['promise'])} | {held} | {r['tried']:,} | {TIERS[e['full']]} | {done} |")
    return Md('\n'.join(rows))

def circumstances(res):
    "When, where, how long and with which seed each experiment ran"
    if not res: return Md('')
    rows = ['| Experiment | Date | Tier | Seed | Time [s] | Machine |','|--|--|--|-:|-:|----|']
    for n,e in res.items():
        tier,seconds = TIERS[e['full']],f"{e['seconds']:,.0f}"
        rows.append(f"| `{n}` | {e['date']} | {tier} | {e['seed']} | {seconds} | {cell(e['machine'])} |")
    return Md('\n'.join(rows))

def verdict(res, names):
    "One line for all: what failed, and what has been tried in the short form only or not at all"
    if not res: return Md('*No results have been recorded yet.*')
    rows = [(n,r) for n,e in res.items() for r in e['rows']]
    lost = [f"{r['promise']} (`{n}`: {r['held']} of {r['tried']})" for n,r in rows if r['held']!=r['tried']]
    short = [f'`{n}`' for n,e in res.items() if not e['full']]
    never = [f'`{n}`' for n in names if n not in res]
    kept,times = len(rows)-len(lost),sum(r['tried'] for _,r in rows)
    s = f'**{kept} of {len(rows)} promises held every time they were tried, {times:,} times in all.**'
    if lost: s += '\n\nNot every time: '+'; '.join(lost)+'.'
    if short: s += '\n\nOnly in the short form so far: '+', '.join(short)+'.'
    if never: s += '\n\nNot recorded here: '+', '.join(never)+'.'
    return Md(s)
