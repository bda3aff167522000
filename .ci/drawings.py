"""Two drawings as SVG, from facts of real objects: a model from its modules, and the way of the data from what each
stage gave. Lines and letters have the colour of the page around them; a phone is wide enough."""
from html import escape

WIDE,TEXT,STEP = 336,12,34        # Of a drawing, of a letter, from one row to the next [px]
LEFT,BOX,HIGH = 40,112,24         # Where a box begins, how wide and how high it is [px]
SAYS = LEFT+BOX+14                # Where the words beside it begin [px]
MOST = 27                         # Of letters there, so that they end where the drawing does
STREAM = 20                       # Where the residual stream runs [px]
PALE = .75                        # Of what is said of a box, beside its name

# ---------------------------------------------------------------- pieces

def word(x, y, s, pale=False, anchor='start', bold=False):
    "A line of text whose middle is at `y`"
    how = (f' opacity="{PALE}"' if pale else '')+(' font-weight="600"' if bold else '')
    return f'<text x="{x:g}" y="{y+TEXT/3:g}" text-anchor="{anchor}"{how}>{escape(s)}</text>'

def line(*points):
    "From point to point, with an arrow at the end"
    at = ' '.join(f'{x:g},{y:g}' for x,y in points)
    (x0,y0),(x1,y1) = points[-2:]
    dx,dy = (x1>x0)-(x1<x0),(y1>y0)-(y1<y0)
    head = [(x1,y1), (x1-6*dx-3*dy, y1-6*dy-3*dx), (x1-6*dx+3*dy, y1-6*dy+3*dx)]
    arrow = '<path d="M'+' L'.join(f'{x:g} {y:g}' for x,y in head)+'Z" fill="currentColor" stroke="none"/>'
    return f'<polyline points="{at}"/>'+arrow

def beside(y, s, **kw):
    "What is said of a box"
    assert len(s)<=MOST, f'{s}: {len(s)} letters, {MOST} have room'
    return word(SAYS, y, s, **kw)

def box(y, name, says=''):
    "A named box whose middle is at `y`, and what is said of it"
    rect = f'<rect x="{LEFT}" y="{y-HIGH/2:g}" width="{BOX}" height="{HIGH}" rx="5"/>'
    return rect+word(LEFT+BOX/2, y, name, anchor='middle')+beside(y, says, pale=True)

def frame(parts, high, about):
    "The drawing; `about` is what it shows, in words"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high:g}" width="{WIDE}" role="img" '
            f'style="max-width:100%;height:auto" aria-label="{escape(about)}"><title>{escape(about)}</title>'
            f'<g fill="none" stroke="currentColor" font-size="{TEXT}" font-family="system-ui,sans-serif">'
            f'<style>text{{fill:currentColor;stroke:none}}</style>{"".join(parts)}</g></svg>')

# ---------------------------------------------------------------- a model

def shape_of(weight): return ' × '.join(f'{n:,}' for n in weight.shape)

def plus(y):
    "Where what a half of a block gives is added to the stream"
    ring = f'<circle cx="{STREAM}" cy="{y:g}" r="7" fill="none"/>'
    cross = f'<path d="M{STREAM-4} {y:g}h8M{STREAM} {y-4:g}v8"/>'
    return line((LEFT,y), (STREAM+7,y))+ring+cross

def half(y, rows):
    "Half of a block: away from the stream, through boxes, and back to it"
    parts = [line((STREAM,y), (LEFT,y))]
    for i,(name,says) in enumerate(rows):
        parts.append(box(y+i*STEP, name, says))
        if i: parts.append(line((LEFT+BOX/2, y+i*STEP-STEP+HIGH/2), (LEFT+BOX/2, y+i*STEP-HIGH/2)))
    end = y+(len(rows)-1)*STEP
    return parts+[plus(end)],end+STEP

def halves(model):
    "What stands in a block: its boxes, and the shapes of their weights"
    attn,mlp,cfg = model.blocks[0].attn,model.blocks[0].mlp,model.cfg
    heads = f'{cfg.n_head} heads of {cfg.head_dim}'
    first = [('norm', ''), ('queries', shape_of(attn.q.weight)), ('keys, values', f'2 of {shape_of(attn.k.weight)}'),
             ('rotate, norm', heads), ('attention', f'within {cfg.window or cfg.seq_len:,} tokens'),
             ('out', shape_of(attn.o.weight))]
    wide,back = shape_of(mlp.up.weight),shape_of(mlp.down.weight)
    return first,[('norm', ''), ('widen', wide), ('ReLU²', ''), ('narrow', back)]

def architecture(
    model,   # A `GPT` in plain form
    ids,     # Some token ids [B,T]
):
    "From token ids to logits, with the shapes that this model has"
    x,y,z = model.embed(ids),STEP/2,model(ids)
    def flow(letters, t): return f'{letters} = {" × ".join(f"{n:,}" for n in t.shape)}'
    middle = LEFT+BOX/2
    parts = [word(middle, y, 'token ids', anchor='middle'), beside(y, flow('[B,T]', ids), pale=True)]
    for name,says in (('embedding', shape_of(model.embed.weight)), ('norm', '')):
        y += STEP
        parts += [box(y, name, says)]
    parts += [line((middle, y-STEP+HIGH/2), (middle, y-HIGH/2)), line((middle, STEP/2+TEXT), (middle, 1.5*STEP-HIGH/2)),
              line((LEFT,y), (STREAM,y), (STREAM,y+STEP)), beside(y, flow('[B,T,C]', x), pale=True)]
    top = y+STEP
    parts.append(word(LEFT, top, f'block, {len(model.blocks)} times', bold=True))
    y = top+STEP
    for rows in halves(model):
        some,y = half(y, rows)
        parts += some
    parts += [f'<rect x="4" y="{top-STEP/2:g}" width="{WIDE-8}" height="{y-top:g}" rx="8" stroke-dasharray="3 3"/>',
              f'<path d="M{STREAM} {top:g}V{y:g}"/>']
    for i,(name,says) in enumerate((('norm', ''), ('head', shape_of(model.head.weight)), ('soft cap', ''))):
        parts.append(box(y+i*STEP, name, says))
        at = y+i*STEP
        parts.append(line((middle, at-STEP+HIGH/2), (middle, at-HIGH/2)) if i else line((STREAM,y), (LEFT,y)))
    end = y+3*STEP
    parts += [line((middle, at+HIGH/2), (middle, end-TEXT)), word(middle, end, 'logits', anchor='middle'),
              beside(end, flow('[B,T,V]', z), pale=True)]
    about = (f'A GPT of {len(model.blocks)} blocks: token ids, embedding, norm; in each block attention and MLP, each '
             'behind a norm and added to the residual stream; norm, head, soft cap, logits')
    return frame(parts, end+STEP/2, about)

# ---------------------------------------------------------------- the way of the data

def way(
    stages,   # (name, module, what it gave) of each, in order
    split,    # Name of the stage from which text goes to validation only
    joins,    # Name of the stage that measures on it
):
    "Raw text goes in at the top; nothing flows back"
    names,parts = [n for n,*_ in stages],[]
    for i,(name,module,gave) in enumerate(stages):
        y = i*1.5*STEP+STEP/2
        parts += [box(y, name), beside(y-TEXT*.55, module, bold=True), beside(y+TEXT*.75, gave, pale=True)]
        if i: parts.append(line((LEFT+BOX/2, y-1.5*STEP+HIGH/2), (LEFT+BOX/2, y-HIGH/2)))
    a,b = (names.index(n)*1.5*STEP+STEP/2 for n in (split, joins))
    parts.append(line((LEFT,a), (STREAM,a), (STREAM,b), (LEFT,b)))
    turned = f'transform="rotate(-90 {STREAM-9:g} {(a+b)/2:g})"'
    parts.append(f'<g {turned}>{word(STREAM-9, (a+b)/2, "kept apart for validation", anchor="middle", pale=True)}</g>')
    about = 'The way of the data: '+', '.join(names)+f'; validation text goes from {split} to {joins} alone'
    return frame(parts, (len(stages)-1)*1.5*STEP+STEP, about)
