"""1,000 bad configs and 50 good ones (`FUZZ_FULL=1`: 200) against the real `Config`. Here rather than in a notebook
because of the number of files, and because some go through the real command line in a process of its own.

Keys, types and bounds are read from the dataclasses, so a new setting is fuzzed from the day it exists."""
import json, os, random, re, signal, time
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
import pytest
from helpers import pretrain
from pretrain.base.config import ConfigError, describe, leaves, read_config, to_dict, to_toml, tree
from pretrain.base.toml import MAX_INT, toml_value
from pretrain.build import Config

LIMIT = 2.     # seconds for one config, in process
LEAVES = leaves(Config)
DEFAULT = to_dict(Config())
SECTIONS = [k for k,t in tree(Config).items() if is_dataclass(t)]

def at(d, path):
    for k in path: d = d[k]
    return d

def kind_of(path):
    s = LEAVES[path].schema
    return 'choice' if 'enum' in s or 'const' in s else s.get('type', 'either')

# A config to be written is a list of rows `(path, value)`, in which anything may come twice or be wrong

class Raw(str): "Text that goes into the file as it is"

def spell(v, fmt):
    "A value in TOML or JSON"
    if isinstance(v, Raw): return v
    if fmt=='json': return json.dumps(v)
    if isinstance(v, dict): return '{' + ', '.join(f'{k} = {spell(o, fmt)}' for k,o in v.items()) + '}'
    if isinstance(v, (list, tuple)): return '[' + ', '.join(spell(o, fmt) for o in v) + ']'
    if v is None: return '"null"'
    return toml_value(v)

def bare(k): return k if re.fullmatch(r'[\w-]+', k, re.ASCII) else json.dumps(k)

def dots(path): return '.'.join(map(bare, path))

def write_toml(rng, rows):
    "TOML text, and the line of each row; sections as tables or as dotted keys, with comments between"
    lines,where = [],{}
    def put(s):
        while rng.random()<.2: lines.append(rng.choice(['', '# a = 1', '  # [optim]', '#']))
        lines.append(s)
    def row(i, path, v):
        put(f'{dots(path)} = {spell(v, "toml")}{rng.choice(["", "", "  # why"])}')
        where[i] = len(lines)
    tables = rng.random()<.7
    inside = [(i, p, v) for i,(p,v) in enumerate(rows) if tables and len(p)>1]
    for i,(p,v) in enumerate(rows):
        if not (tables and len(p)>1): row(i, p, v)
    for head in dict.fromkeys(p[0] for _,p,_ in inside):
        put(f'[{bare(head)}]')
        where[head] = len(lines)
        for i,p,v in inside:
            if p[0]==head: row(i, p[1:], v)
    return '\n'.join(lines)+'\n', where

def write_json(rng, rows):
    "JSON text, and the line of each row"
    lines,where = ['{'],{}
    heads = dict.fromkeys(p[0] if len(p)>1 else i for i,(p,_) in enumerate(rows))
    for n,head in enumerate(heads):
        comma = ','*(n<len(heads)-1)
        if isinstance(head, int): lines.append(f'{json.dumps(rows[head][0][0])}: {spell(rows[head][1], "json")}{comma}')
        else: lines.append(f'{json.dumps(head)}: {{')
        where[head] = len(lines)
        if isinstance(head, int): continue
        own = [(i, p, v) for i,(p,v) in enumerate(rows) if len(p)>1 and p[0]==head]
        for m,(i,p,v) in enumerate(own):
            text = spell(v, 'json')
            for k in reversed(p[2:]): text = f'{{{json.dumps(k)}: {text}}}'
            lines.append(f'  {json.dumps(p[1])}: {text}{","*(m<len(own)-1)}')
            where[i] = len(lines)
        lines.append(f'}}{comma}')
    return '\n'.join([*lines, '}'])+'\n', where

WRITE = dict(toml=write_toml, json=write_json)

# Good configs

def good_value(rng, path):
    "A valid value, not far from the default"
    s,k,d = LEAVES[path].schema,kind_of(path),at(DEFAULT, path)
    if k=='choice': return rng.choice(s.get('enum') or [s['const']])
    if k=='boolean': return rng.random()<.5
    if k in ('string', 'array', 'either'): return d
    lo,hi = s.get('minimum', s.get('exclusiveMinimum', -1)),s.get('maximum', MAX_INT)
    if k=='integer':
        return min(max(rng.choice([d, d+1, 2*d, d//2, rng.randint(1, 1000)]), lo + ('exclusiveMinimum' in s)), hi)
    v = rng.choice([d, d*rng.uniform(.5, 1.5), 10**rng.uniform(-9, 3)])
    return min(v, hi) if v>lo else d

def agree(rng, cfg):
    "Make settings agree that depend on each other"
    def divisor(n): return rng.choice([0, *[k for k in range(1, n+1) if n%k==0]])
    m,d = cfg['model'],cfg['data']
    m['n_kv_head'],m['width'] = divisor(m['n_head']),m['n_head']*2*rng.randint(1, 64)
    if m['post_norm']: m['init_out'] = 1.
    if m['init_out']: m['init_pairs'] = False
    if m['value_embed']=='none': m['value_gate'] = 0.
    if m['n_layer']<2: m['value_residual'] = False
    cfg['train']['micro_rows'] = divisor(cfg['loader']['batch_rows'])
    if not cfg['train']['micro_rows']: cfg['train']['sums'] = 'float32'
    cfg['core']['every'] = cfg['eval']['every']*rng.randint(1, 4)
    length = rng.choice(LENGTHS)
    cfg['train'] |= {k: 0 for k in LENGTHS if k!=length} | dict(horizon=[])
    cfg['train'][length] = max(cfg['train'][length], 1)
    cfg['schedule'] |= dict(warmup=rng.randint(0, cfg['train']['steps']//2), warmdown=rng.uniform(0, .5))
    d['train'],d['valid'] = rng.choice([(['a.txt', 'déjà/*.jsonl'], []), (['a.txt'], ['b.txt']), (['embedded'], [])])
    d['valid_frac'] = rng.uniform(.01, .5)
    cfg['tokenizer']['vocab_size'] = rng.randint(512, 50_000)
    for section,key in BELOW_ONE: cfg[section][key] = rng.uniform(0, .99)

LENGTHS = 'steps', 'minutes', 'tokens', 'tokens_per_param'   # of which one acts
BELOW_ONE = [('optim', 'beta1'), ('optim', 'beta2'), ('optim', 'muon_momentum'), ('optim', 'muon_momentum_begin'),
             ('optim', 'muon_momentum_end'), ('optim', 'muon_beta2'), ('metrics', 'ema_beta')]

def good_rows(rng):
    "Every key of a valid config, in random order"
    cfg = json.loads(json.dumps(DEFAULT))
    for p in LEAVES: at(cfg, p[:-1])[p[-1]] = good_value(rng, p)
    agree(rng, cfg)
    return [(p, at(cfg, p)) for p in rng.sample(list(LEAVES), len(LEAVES))]

# Bad configs: each kind plants one mistake, and returns the rows, the key that the answer must name (None where the
# place can't be told) and the key that it should suggest

def pick(rng, test=lambda p: True): return rng.choice([p for p in LEAVES if test(p)])

def slip(rng, word):
    "A typing mistake in a word"
    i,c = rng.randrange(len(word)),rng.choice('abcdefghijklmnopqrstuvwxyz_')
    return rng.choice([word[:i]+word[i+1:], word[:i]+c+word[i:], word[:i]+c+word[i+1:],
                       word[:i]+word[i:i+1]*2+word[i+1:],
                       word[:i]+word[i+1:i+2]+word[i:i+1]+word[i+2:], word.upper(), word.replace('_', '-'), word+'s'])

def taken(path): return path in LEAVES or len(path)==1 and path[0] in SECTIONS

def misspelt(rng, rows, fmt):
    p = pick(rng)
    i = rng.randrange(len(p))
    while taken(head := p[:i]+(slip(rng, p[i]),)) or not head[-1]: pass
    rows = [(q,v) for q,v in rows if q!=p and (i or len(p)==1 or q[0]!=p[0])]
    return [*rows, (head+p[i+1:], at(DEFAULT, p))], head, p[:i+1]

WRONG = dict(integer=['12', True, 1.5, [1], {}, None, Raw('1e3'), '', [[1]]],
             number=['0.1', True, [.1], {'a': 1}, None, ''],
             boolean=[0, 1, 'true', 'yes', [True], None, 1.], string=[3, True, 1.5, ['a'], {'a': 'b'}, []],
             array=[3, True, [1], {}, ['a', 2], 0.5, [['a']]], choice=[3, True, 'nonsense', '', [], {}, 1.5],
             either=[True, 'nonsense', '', [], {}, 1.5, -1])

def instead(rows, path, v): return [(q,o) for q,o in rows if q!=path] + [(path, v)], path, None

def wrong_type(rng, rows, fmt):
    p = pick(rng)
    return instead(rows, p, rng.choice(WRONG[kind_of(p)]))

def beyond(path):
    "Values of the right type outside the bounds"
    s,k = LEAVES[path].schema,kind_of(path)
    if k=='choice': return ['auto ', 'LINEAR', 'fp8']
    if k not in ('integer', 'number'): return []
    res = ['nan', 'inf', '-inf', '1e999'] if k=='number' else [MAX_INT+1, 10**30, -10**30, -MAX_INT, '9'*4200, '9'*5000]
    if 'minimum' in s: res += [s['minimum']-1, s['minimum']-10**9]
    if 'exclusiveMinimum' in s: res += [s['exclusiveMinimum'], s['exclusiveMinimum']-1]
    if (hi := s.get('maximum', MAX_INT))!=MAX_INT: res += [hi+1 if hi+1>hi else 2*hi, 100*hi+1]
    return [Raw(v) if isinstance(v, str) else v for v in res]

def out_of_range(rng, rows, fmt):
    p = pick(rng, beyond)
    v = rng.choice(beyond(p))
    if fmt=='json' and isinstance(v, Raw): v = Raw({'nan': 'NaN', 'inf': 'Infinity', '-inf': '-Infinity'}.get(v, v))
    rows,key,_ = instead(rows, p, v)
    return rows, None if len(str(v))>4300 else key, None   # Python reads no more digits than that

def nested(rng, rows, fmt):
    p = pick(rng, lambda p: len(p)>1)
    key = p[-1]
    other = rng.choice([o for o in SECTIONS if key not in tree(tree(Config)[o])])
    rows = [(q,v) for q,v in rows if q[0]!=p[0]]
    rest = [(q,v) for q,v in rows if q[0]!=other]
    v = at(DEFAULT, p)
    # a value for a section
    return rng.choice([([*rows, (p[:1], rng.choice([3, 'x', True, [1], [{}], []]))], p[:1], None),
                       # a section in itself
                       ([*rows, ((p[0], *p), v)], (p[0], p[0]), None),
                       # a table for a value
                       ([*rows, (p+('x',), 1)], p, None),
                       # in the wrong section
                       ([*rest, ((other, key), v)], (other, key), None),
                       # in none
                       ([*rows, ((key,), v)], (key,), None) if not taken((key,))
                       else ([*rows, (('nowhere',), v)], ('nowhere',), None)])

def duplicate(rng, rows, fmt):
    p,v = rng.choice(rows)
    return [*rows, (p, rng.choice([v, 1, 'x']))], p, None

def contradiction(rng, rows, fmt):
    n = rng.randint(2, 500)
    *change,key = rng.choice([
        (('model.n_head', 3*n), ('model.width', 3*n+1), 'width'),
        (('model.n_head', n), ('model.width', 2*n), ('model.n_kv_head', n+1), 'n_kv_head'),
        (('loader.batch_rows', 4*n), ('train.micro_rows', 4*n-1), 'micro_rows'),
        (('train.sums', 'float64'), ('train.micro_rows', 0), 'sums'),
        (('train.steps', n), ('schedule.warmup', n+1), 'warmup'),
        (('core.bundle', 'tasks'), ('eval.every', n+1), ('core.every', n+2), 'every'),
        (('optim.beta1', 1.), 'beta1'), (('optim.beta2', 1), 'beta2'), (('optim.muon_momentum', 1.), 'muon_momentum'),
        (('metrics.ema_beta', 1), 'ema_beta'), (('data.train', []), 'train'),
        (('data.train', ['a', 'b']), ('data.valid', ['b']), 'valid'),
        (('data.valid', []), ('data.valid_frac', rng.choice([0, 1])), 'valid_frac'),
        (('tokenizer.vocab_size', rng.randint(1, 256)), 'vocab_size'), (('out', rng.choice(['', ' '])), 'out')])
    for k,v in change: rows,p,_ = instead(rows, tuple(k.split('.')), v)
    return rows, (*p[:-1], key), None

KINDS = dict(misspelt=200, wrong_type=200, out_of_range=150, nested=120, duplicate=80, contradiction=110,
             bom=30, binary=40, empty=15, big=5, broken=50)

# Files that aren't configs at all, made from a generator and the text of a good config

BROKEN = ['[[[[', ']', '= 1', 'key', '[', '{', 'x = [1,\ny = 2', "'''x", 'x = """y\nz = 1', 'a = 1 b = 2', '{"a": 1,}',
          'null', '[]', '"text"', '3',
          'a = '+'['*30_000, '{"a": '*10_000, '['*60_000, 'a.'*30_000+'a = 1', 'x = {'+'a.'*30_000+'a = 1}',
          '"\\'*30_000, 'seed = 0x'+'f'*60_000,
          'seed = '+'9'*60_000, '{"seed": '+'9'*60_000+'}', 'key\n'*10_000, 'k = \n'*10_000, 'seed = 1\n'*7000,
          '"\\u001b[2J\\n" = 1', '\x1b[2J = 1',
          '\n'.join(f'key_{i} = 1' for i in range(4000)), '\n'.join(f'[t{i}.a.b]' for i in range(4000)),
          '{"include": "\\ud800"}', 'include = 3']

FILES = dict(
    bom=[lambda rng, s: b'\xef\xbb\xbf'+s.encode(), lambda rng, s: s.encode('utf-16'),
         lambda rng, s: b'\xfe\xff'+s.encode('utf-16-be'), lambda rng, s: s.encode('utf-32')],
    binary=[lambda rng, s: rng.randbytes(rng.choice([16, 1000, 60_000])),
            lambda rng, s: b'\x89PNG\r\n\x1a\n'+rng.randbytes(99), lambda rng, s: b'\x7fELF'+bytes(99),
            lambda rng, s: b'\x1f\x8b\x08\0'+rng.randbytes(99), lambda rng, s: b'\x80\x04\x95\x0f',
            lambda rng, s: s.encode()+b'\0',
            lambda rng, s: s.encode()[:50]+b'\xff'+s.encode()[50:], lambda rng, s: 'out = "é"'.encode('latin-1')],
    empty=[lambda rng, s: rng.choice([b'', b' ', b'\n', b'\r\n\r\n', b'\t \n'*rng.randint(1, 50)])],
    big=[lambda rng, s: s.encode().ljust(10**7, b'\n'), lambda rng, s: b'#'*10**7,
         lambda rng, s: b'a.'*5_000_000+b'a = 1', lambda rng, s: b'['*10**7, lambda rng, s: rng.randbytes(10**7)],
    broken=[lambda rng, s, t=t: t.encode() for t in BROKEN])

def bad_config(kind, i):
    """The i-th bad config of a kind: file name, bytes, then line and key that the answer must name, and the key it
    should suggest"""
    rng = random.Random(f'{kind} {i}')
    fmt = rng.choice(['toml', 'toml', 'json'])
    rows = good_rows(rng)
    if kind!='contradiction': rows = rows[:rng.randint(1, len(rows))]
    if kind=='broken': fmt = 'toml' if i<len(BROKEN) else 'json'
    name = f'{kind}_{i}.{fmt}'
    if kind in FILES: return name, FILES[kind][i%len(FILES[kind])](rng, WRITE[fmt](rng, rows)[0]), None, None, None
    rows,key,near = globals()[kind](rng, rows, fmt)
    text,lines = WRITE[fmt](rng, rows)
    n = max((n for n,(p,_) in enumerate(rows) if key and p[:len(key)]==key), default=None)
    line = lines.get(key[0] if key and len(key)==1 and key[0] in lines else n)
    return name, text.encode(), line, key, near

def refusal(path):
    "The problems of a bad config; each is one line, and they don't take long"
    start = time.process_time()   # others use this machine, too
    with pytest.raises(ConfigError) as e: read_config(Config, path)
    took = time.process_time()-start
    assert took<LIMIT, f'{path.name}: {took:.1f} s'
    lines = e.value.problems
    assert lines and str(e.value).split('\n')==lines
    assert all(o.isprintable() and len(o)<1000 and (path.name in o or o.startswith('... and')) for o in lines), lines
    return lines

def test_there_are_1000(): assert sum(KINDS.values())==1000

@pytest.mark.parametrize('kind', KINDS)
def test_bad_configs_are_refused(kind, tmp_path):
    hits = tries = 0
    for i in range(KINDS[kind]):
        name,b,line,key,near = bad_config(kind, i)
        path = tmp_path/name
        path.write_bytes(b)
        lines = refusal(path)
        path.unlink()
        if kind=='bom': assert 'save as plain UTF-8' in lines[0], lines
        if not key: continue
        said = [o for o in lines if f'{name}:{line}: {dots(key)}' in o]
        assert said, (name, line, key, lines, b.decode())
        if near: tries,hits = tries+1,hits+(f'mean {dots(near)}?' in said[0])
    if kind=='misspelt': assert tries==KINDS[kind] and hits>.9*tries, f'{hits} of {tries} slips were understood'

def test_odd_file_names_stay_on_one_line(tmp_path):
    for odd in ('a\nb', '\x1b[2J', 'é\u2028', '\udcff'):
        path = tmp_path/f'{odd}.toml'
        path.write_text('seed = -1')
        for p in (path, tmp_path/f'no{odd}.toml'):
            with pytest.raises(ConfigError) as e: read_config(Config, p)
            assert len(e.value.problems)==1 and e.value.problems[0].isprintable()

def test_all_mistakes_come_at_once(tmp_path):
    "Several mistakes in one file: each is named, and nothing else is"
    for i in range(50):
        rng = random.Random(f'several {i}')
        paths = rng.sample([p for p in LEAVES if kind_of(p)=='integer'], rng.randint(2, 6))
        fmt = rng.choice(['toml', 'json'])
        text,lines = WRITE[fmt](rng, [(p, '7') for p in paths])
        path = tmp_path/f'{i}.{fmt}'
        path.write_text(text)
        want = {f"{path}:{lines[n]}: {dots(p)} = '7'" for n,p in enumerate(paths)}
        assert {o.partition(': needs')[0] for o in refusal(path)}==want

def test_command_line_mistakes():
    for i in range(100):
        rng = random.Random(f'command line {i}')
        ((p,v),),key,_ = rng.choice([misspelt, out_of_range])(rng, [], 'toml')
        with pytest.raises(ConfigError) as e: read_config(Config, None, [f'{dots(p)}={spell(v, "toml")}'])
        assert len(e.value.problems)==1 and e.value.problems[0].startswith(f'command line: {dots(key or ())}'), e.value

def test_mistakes_in_python():
    for i in range(100):
        rng = random.Random(f'python {i}')
        ((p,v),),key,_ = rng.choice([misspelt, wrong_type])(rng, [], 'toml')
        if isinstance(v, Raw): v = float(v)
        with pytest.raises(ConfigError) as e: read_config(Config, None, {'.'.join(p): v})
        assert len(e.value.problems)==1 and e.value.problems[0].startswith(f'overrides: {dots(key)} = '), e.value

@contextmanager
def alarm():
    "Stop what computes too long instead of waiting for it; others use this machine, too"
    def late(*_): raise TimeoutError
    old = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    try: yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)

def test_extreme_values_are_answered_in_time():
    "A check between settings mustn't search through 2**63 candidates, nor overflow"
    ints,bad,big = [p for p in LEAVES if kind_of(p)=='integer'],[],[MAX_INT, MAX_INT-1, 10**9+7, 2**40, 3, 1]
    pairs = [('loader.batch_rows', 'train.micro_rows'), ('model.width', 'model.n_head'),
             ('model.n_head', 'model.n_kv_head'), ('schedule.warmup', 'train.steps')]
    # keys that are held against each other
    cases = [[f'{a}={x}', f'{b}={y}'] for a,b in pairs for x,y in ((MAX_INT, 5), (2**40, 10**9+7), (10**9+7, MAX_INT))]
    for i in range(200):
        rng = random.Random(f'extreme {i}')
        cases.append([f'{dots(p)}={rng.choice(big)}' for p in rng.sample(ints, rng.randint(1, 4))])
    for args in cases:
        try:
            with alarm(): read_config(Config, None, args)
        except ConfigError: pass
        except Exception as e: bad.append(f'{type(e).__name__} {e}: {" ".join(args)}')
    assert not bad, '\n'.join(bad)

@pytest.mark.parametrize('kind', KINDS)
def test_command_line_exits_2(kind, tmp_path):
    commands = [*enumerate(['config', 'train'])]   # which read it alike: each kind by one of them, by both in full
    for i,command in commands if 'FUZZ_FULL' in os.environ else [commands[[*KINDS].index(kind)%2]]:
        name,b,*_ = bad_config(kind, i)
        (tmp_path/name).write_bytes(b)
        res = pretrain(command, name, cwd=tmp_path)
        out = res.stdout+res.stderr
        assert res.returncode==2 and 'Traceback' not in out and name in out, (name, res)
        assert all(o.isprintable() for o in out.split('\n'))

def test_good_configs_are_taken(tmp_path):
    for i in range(200 if 'FUZZ_FULL' in os.environ else 50):
        rng = random.Random(f'good {i}')
        fmt = rng.choice(['toml', 'json'])
        rows = good_rows(rng)
        path = tmp_path/f'good.{fmt}'
        path.write_text(WRITE[fmt](rng, rows)[0], encoding='utf-8')
        cfg = read_config(Config, path)
        assert all(at(to_dict(cfg), p)==v for p,v in rows)
        for name,text in {'a.toml': to_toml(cfg), 'b.toml': describe(cfg), 'c.json': json.dumps(to_dict(cfg))}.items():
            (tmp_path/name).write_text(text, encoding='utf-8')
            assert read_config(Config, tmp_path/name)==cfg
        assert replace(cfg)==cfg==read_config(Config, None, [f'{dots(p)}={spell(v, "toml")}' for p,v in rows])
        assert read_config(Config, None, {dots(p): v for p,v in rows})==cfg
