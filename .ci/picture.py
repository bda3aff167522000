"""The picture of a run on the README's first screen: its curve, and what it wrote at some steps.

    pretrain train quickstart sample.every=100 eval.every=100 out=runs/picture | tee said.txt
    python .ci/picture.py runs/picture --said said.txt   # keeps what is drawn in nbs/reports/picture.json, and draws it
    python .ci/picture.py                                # draws what is kept, anew"""
import argparse, json, re, sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
KEPT,DRAWN = ROOT/'nbs/reports/picture.json',ROOT/'nbs/picture.svg'
WIDE,HIGH,ROW,CHARS = 760,190,17,86   # Of the chart [px]; of a line of text [px]; characters in it
FIRST = 'tokenizer', 'model', 'plan', 'preflight', 'validation: step', 'done'   # Lines that are shown
ENDS = re.compile(r';.*|,? (?:in )?[\d.]+ s\b.*')   # What in them is said of the machine, or at length
STYLE = 'svg{color:#24292f}@media (prefers-color-scheme:dark){svg{color:#d8dee4}}'

def lines(path): return [json.loads(l) for l in Path(path).read_text(encoding='utf-8').splitlines()]

def keep(run, said):
    "What is drawn of a run"
    log,samples = lines(run/'metrics.jsonl'),lines(run/'samples.jsonl')
    last = log[-1]['step']
    bpb = [(r['step'], round(r['val_bpb'], 3)) for r in log if 'val_bpb' in r]
    texts = {r['step']: r['samples'][0] for r in samples if r['step'] in (0, 100, last)}
    marks = json.loads((run/'evaluation/yardsticks.json').read_text())['bits_per_byte']
    news = re.split(r'[\r\n]+', said.read_text(encoding='utf-8')) if said else []
    printed = [ENDS.sub('', l) for l in news if l.startswith(FIRST)]
    marks = {k: round(v, 3) for k,v in marks.items()}
    return dict(steps=last, bpb=bpb, wrote=texts, marks=marks, said=printed)

def wrapped(text):
    "On one line, cut where the picture ends"
    text = ' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())
    return text if len(text)<=CHARS else text[:CHARS-1]+'…'

def draw(d):
    "The picture"
    from pretrain.base.chart import Curve, Level, chart
    marks = [Level(k, v) for k,v in d['marks'].items()]
    curve = Curve('bits per byte of text that it has not seen', *zip(*d['bpb']), look='dots')
    svg = chart([curve], 'A GPT learns to read', levels=marks, size=(WIDE, HIGH))
    rows,y = [],HIGH+ROW+6
    for step,s in sorted(d['wrote'].items(), key=lambda o: int(o[0])):
        said = escape(wrapped(s['prompt']+s['text']))
        rows.append(f'<text x="4" y="{y}" font-weight="600">step {int(step):,}</text>'
                    f'<text x="92" y="{y}" font-family="ui-monospace,monospace">{said}</text>')
        y += ROW
    about = f'A curve of bits per byte over {d["steps"]:,} steps, and what the model wrote at three of them'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {y}" width="{WIDE}" font-size="12" '
            f'font-family="system-ui,sans-serif" fill="currentColor" role="img" aria-label="{about}">'
            f'<title>{about}</title><style>{STYLE}</style>'
            f'<svg width="{WIDE}" height="{HIGH}"{svg[4:]}{"".join(rows)}</svg>\n')

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('run', nargs='?', type=Path, help='directory of a run; none = what is kept')
    p.add_argument('--said', type=Path, help='what the command printed')
    a = p.parse_args()
    if a.run: KEPT.write_text(json.dumps(keep(a.run, a.said), ensure_ascii=False, indent=1)+'\n', encoding='utf-8')
    DRAWN.write_text(draw(json.loads(KEPT.read_text(encoding='utf-8'))), encoding='utf-8')
    print(f'{DRAWN.relative_to(ROOT)}: {DRAWN.stat().st_size:,} bytes')

if __name__=='__main__': main()
