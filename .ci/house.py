"""The house as a picture, drawn from the imports: `python .ci/house.py` writes nbs/house.svg,
`--check` says if it is current

Wings stand on floors, modules in their wing as well: each above what it imports. An arrow is drawn where no longer way
leads to the same place. Colours are on a card of their own, so the picture is readable on a light page and on a dark
one."""
import ast, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE,PICTURE = ROOT/'pretrain',ROOT/'nbs/house.svg'

# ---------------------------------------------------------------- who imports whom

def modules(package=PACKAGE):
    "Dotted name below `pretrain` to source"
    files = sorted(package.rglob('[!_]*.py'))
    return {'.'.join(p.relative_to(package).with_suffix('').parts): p.read_text(encoding='utf-8') for p in files}

def imports(name, source):
    "What a module imports of ours, anywhere in it: (dotted name below `pretrain`, perhaps with a name in it, line)"
    for n in ast.walk(ast.parse(source)):
        if isinstance(n, ast.Import): names = [a.name for a in n.names]
        elif isinstance(n, ast.ImportFrom):
            at = ['pretrain', *name.split('.')[:-n.level], *filter(None, [n.module])] if n.level else [n.module]
            names = ['.'.join([*at, a.name]) for a in n.names]
        else: continue
        ours = [full for full in names if full.partition('.')[0]=='pretrain']
        yield from ((full.removeprefix('pretrain').lstrip('.'), n.lineno) for full in ours)

def edges(sources):
    "Which module imports which: {module: {imported: line}}"
    res = {}
    for name,src in sources.items():
        res[name] = {}
        for full,line in imports(name, src):
            to = next((m for m in (full, full.rpartition('.')[0]) if m in sources), full)
            if to.startswith('__'): continue   # the version
            res[name].setdefault(to, line)
    return res

def wing(name): return name.partition('.')[0]

def wings(graph):
    "Which wing imports which: {wing: {imported}}"
    res = {wing(m): set() for m in graph}
    for m,to in graph.items(): res[wing(m)] |= {wing(t) for t in to}-{wing(m)}
    return res

# ---------------------------------------------------------------- floors

def shortest(graph):
    "Without the edges that a longer way makes plain"
    def below(n, seen):
        for t in graph[n]-seen:
            seen.add(t)
            below(t, seen)
        return seen
    under = {n: below(n, set()) for n in graph}
    return {n: {t for t in to if not any(t in under[o] for o in to-{t})} for n,to in graph.items()}

def floors(graph):
    "Each node to its floor: as high as what imports it allows, and above everything it imports"
    low = {}
    def height(n):
        if n not in low: low[n] = 1+max((height(t) for t in graph[n]), default=-1)
        return low[n]
    for n in graph: height(n)
    res = {}
    for n in sorted(graph, key=lambda n: -low[n]):
        above = [res[m] for m in res if n in graph[m]]
        res[n] = min(above)-1 if above else low[n]
    return res

# ---------------------------------------------------------------- places

GLYPH,LINE = 7.3,24           # width of a letter, height of a module's box
GAP_X,GAP_Y = 14,24           # between modules
WING_X,WING_Y = 46,58         # between wings
TITLE,PAD = 30,14             # of a wing
EDGE = 30                     # of the card

def label(m): return m.partition('.')[2].replace('.', '/')

def box(m): return GLYPH*len(label(m))+16

def rows_of(graph):
    "Nodes by floor, the highest first; in a row near to what imports them"
    at,rows,order = floors(graph),{},{}
    for n in sorted(graph): rows.setdefault(at[n], []).append(n)
    res = []
    for f in sorted(rows, reverse=True):
        def near(n):
            above = [order[m] for m in order if n in graph[m]]
            return (sum(above)/len(above) if above else .5, n)
        row = sorted(rows[f], key=near)
        order |= {n: (i+1)/(len(row)+1) for i,n in enumerate(row)}
        res.append(row)
    return res

def inside(graph):
    "A wing's modules: their boxes (x, y, width) from its corner, and its size"
    rows = [r for r in rows_of(graph) if any(label(m) for m in r)]
    widths = [sum(map(box, r))+GAP_X*(len(r)-1) for r in rows]
    W,places = max(widths, default=70),{}
    for i,(r,w) in enumerate(zip(rows, widths)):
        x = PAD+(W-w)/2
        for m in r:
            places[m] = (x, TITLE+i*(LINE+GAP_Y), box(m))
            x += box(m)+GAP_X
    return places, W+2*PAD, TITLE+len(rows)*(LINE+GAP_Y)-(GAP_Y-PAD if rows else -4)

def spread(row, want, size, left, right):
    "Centres for boxes in a row, near where they want to be and apart from each other"
    row = sorted(row, key=lambda n: (want[n], str(n)))
    x,res = left,{}
    for i,n in enumerate(row):
        rest = sum(size[m] for m in row[i:])+WING_X*(len(row)-1-i)
        at = min(max(want[n]-size[n]/2, x), right-rest)
        res[n] = at+size[n]/2
        x = at+size[n]+WING_X
    return res

LANE = 18                     # room for an arrow that passes a floor

def with_lanes(over):
    "Floors of wings, the highest first, with a lane (upper wing, lower wing, floor) wherever an arrow passes one"
    rows = rows_of(over)
    floor = {w: i for i,r in enumerate(rows) for w in r}
    lanes = [(w, t, i) for w in sorted(over) for t in sorted(over[w]) for i in range(floor[w]+1, floor[t])]
    return [[*r, *(l for l in lanes if l[2]==i)] for i,r in enumerate(rows)]

def neighbours(over, rows):
    "What stands above and below each wing and lane, along the arrows"
    up,down = ({n: [] for r in rows for n in r} for _ in range(2))
    for w in sorted(over):
        for t in sorted(over[w]):
            way = [w, *(n for r in rows for n in r if n[:2]==(w, t)), t]
            for hi,lo in zip(way, way[1:]):
                down[hi].append(lo)
                up[lo].append(hi)
    return up,down

def centres(rows, size, up, down):
    "Where each wing and lane has its middle: the widest floor first, then upwards and downwards from it"
    total = [sum(size[n] for n in r)+WING_X*(len(r)-1) for r in rows]
    W,widest = max(total),total.index(max(total))
    res,x = {},EDGE
    for n in rows[widest]:
        res[n] = x+size[n]/2
        x += size[n]+WING_X
    for i in [*range(widest-1, -1, -1), *range(widest+1, len(rows))]:
        def middle(n, others=down if i<widest else up):
            xs = [res[o] for o in others[n] if o in res]
            return sum(xs)/len(xs) if xs else EDGE+W/2
        res |= spread(rows[i], {n: middle(n) for n in rows[i]}, size, EDGE, EDGE+W)
    return res,W

def own_edges(graph, w):
    "Imports between the modules of one wing"
    return shortest({m: {t for t in to if t in graph and wing(t)==w} for m,to in graph.items() if wing(m)==w})

def plan(graph):
    "Wings to (x, y, width, height, modules); arrows to the points they go through; the size of the whole"
    over = shortest(wings(graph))
    rows = with_lanes(over)
    parts = {w: inside(own_edges(graph, w)) for w in over}
    size = {n: parts[n][1] if n in parts else LANE for r in rows for n in r}
    up,down = neighbours(over, rows)
    centre,W = centres(rows, size, up, down)
    res,bounds,y = {},{},EDGE
    for r in rows:
        tall = max(parts[n][2] for n in r if n in parts)
        for n in r:
            h = parts[n][2] if n in parts else tall
            bounds[n] = (centre[n]-size[n]/2, y+(tall-h)/2, size[n], h)
            if n in parts: res[n] = (*bounds[n], parts[n][0])
        y += tall+WING_Y
    return res, arrows(over, rows, bounds, up, down), W+2*EDGE, y-WING_Y+EDGE

def arrows(over, rows, bounds, up, down):
    "Each arrow's points: spread over the edges of its wings in the order of where it goes, straight down its lanes"
    def port(n, others, other, y):
        if n not in over: return bounds[n][0]+LANE/2,y
        order = sorted(others, key=lambda o: bounds[o][0]+bounds[o][2]/2)
        return bounds[n][0]+bounds[n][2]*(order.index(other)+1)/(len(order)+1),y
    res = {}
    for w in sorted(over):
        for t in sorted(over[w]):
            way = [w, *(n for r in rows for n in r if n[:2]==(w, t)), t]
            for hi,lo in zip(way, way[1:]):
                low_edge = bounds[hi][1]+bounds[hi][3]
                res[w, t] = [*res.get((w, t), []), port(hi, down[hi], lo, low_edge),
                             port(lo, up[lo], hi, bounds[lo][1])]
    return res

# ---------------------------------------------------------------- drawing

HUES = dict(cli='#5b6770', alive='#6b5b95', looking='#2a7a8a', showing='#1d7a5f', play='#a0522d', doors='#94417a',
            seeds='#4a6b2a', planning='#7a6a10', build='#8a5a00', sizes='#9a6b1f', reading='#3d6b35', export='#7a3e9d',
            train='#b23a2e', eval='#1f6f8b', data='#2e7d4f', model='#3f51b5', store='#6d5f4b', base='#455a64')
STYLE = """.card{fill:#fbfaf7;stroke:#c9c5bb}.wing{fill-opacity:.09;stroke-width:1.5}.module{fill:#fff;stroke-width:1}
text{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:12px}
text{fill:#1d1f21;text-anchor:middle}
.title{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;font-size:15px;font-weight:600}
.far{stroke:#3c4043;stroke-width:1.6;fill:none;marker-end:url(#tip);stroke-linejoin:round}
.near{stroke-width:1;stroke-opacity:.6}"""

TIP = ('<marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
       '<path d="M0 0L8 4L0 8z" fill="#3c4043"/></marker>')

def num(x): return f'{x:.1f}'.removesuffix('.0')

def line(x1, y1, x2, y2, hue):
    return f'<line class="near" x1="{num(x1)}" y1="{num(y1)}" x2="{num(x2)}" y2="{num(y2)}" stroke="{hue}"/>'

def path(points): return f'<polyline class="far" points="{" ".join(f"{num(x)},{num(y)}" for x,y in points)}"/>'

def rect(x, y, w, h, r, kind, ink=''):
    return f'<rect class="{kind}" x="{num(x)}" y="{num(y)}" width="{num(w)}" height="{num(h)}" rx="{r}"{ink}/>'

def text(x, y, s, kind='', ink=''):
    at = f' class="{kind}"' if kind else ''
    return f'<text{at} x="{num(x)}" y="{num(y)}"{ink}>{s}</text>'

def draw(graph):
    "The picture as SVG"
    places,far,W,H = plan(graph)
    over = shortest(wings(graph))
    ways = '; '.join(f'{w} stands on {", ".join(sorted(over[w]))}' for w in places if over[w])
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {num(W)} {num(H)}" role="img" aria-labelledby="t d">',
           f'<title id="t">The house: wings, their modules, and what stands on what</title><desc id="d">{ways}.</desc>',
           f'<style>{STYLE}</style>',
           f'<defs>{TIP}</defs>', rect(1, 1, W-2, H-2, 14, 'card')]
    out += [path(points) for points in far.values()]
    for w,(x,y,width,height,inner) in places.items():
        hue = HUES.get(w, '#555')
        own = own_edges(graph, w)
        shade = rect(x, y, width, height, 10, 'wing', f' fill="{hue}" stroke="{hue}"')
        out += [rect(x, y, width, height, 10, 'card'), shade,
                text(x+width/2, y+20, w, 'title')]
        for m in inner:
            for t in sorted(own[m]):
                (a,b,c),(d,e,f) = inner[m],inner[t]
                out.append(line(x+a+c/2, y+b+LINE, x+d+f/2, y+e, hue))
        for m,(a,b,c) in inner.items():
            out += [rect(x+a, y+b, c, LINE, 5, 'module', f' stroke="{hue}"'), text(x+a+c/2, y+b+16, label(m))]
    return '\n'.join([*out, '</svg>'])+'\n'

def main():
    new,same = draw(edges(modules())),False
    if PICTURE.exists(): same = PICTURE.read_text(encoding='utf-8')==new
    if '--check' in sys.argv[1:]:
        print('house.svg is current' if same else 'house.svg differs from the imports: run python .ci/house.py')
        return 0 if same else 1
    if not same: PICTURE.write_text(new, encoding='utf-8')
    print(PICTURE.relative_to(ROOT), 'unchanged' if same else 'written')
    return 0

if __name__=='__main__': sys.exit(main())
