"""README.md from nbs/index.ipynb: `python .ci/readme.py` writes it, `--check` only says whether it is current (exit
1 when not)"""
import json, posixpath, re, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = '<!-- Generated from nbs/index.ipynb by .ci/readme.py; edit the notebook. -->\n\n'

def text(x): return x if isinstance(x, str) else ''.join(x)

def relink(md):
    "Links written relative to nbs/ become relative to the root"
    def f(m):
        if re.match(r'[a-z][a-z+.-]*:|#|/', m[2]): return m[0]
        path,_,anchor = m[2].partition('#')
        return f"{m[1]}({posixpath.normpath('nbs/'+path)}{'#'+anchor if anchor else ''})"
    return re.sub(r'(\[[^\]]*\])\(([^)\s]+)\)', f, md)

def output(o):
    "One saved output as Markdown"
    if o['output_type']=='stream': return f"```text\n{text(o['text']).rstrip()}\n```"
    d = o.get('data', {})
    if 'text/markdown' in d: return relink(text(d['text/markdown']).strip())
    return f"```text\n{text(d['text/plain']).rstrip()}\n```" if 'text/plain' in d else ''

def readme(nb):
    "The README's text"
    parts = []
    for c in nb['cells']:
        src = text(c['source']).strip()
        if c['cell_type']=='markdown': parts.append(relink(src))
        elif c['cell_type']=='code':
            opts = set(re.findall(r'^#\|\s*(.+?)\s*$', src, re.M))
            code = '\n'.join(l for l in src.splitlines() if not l.startswith('#|'))
            if opts & {'hide', 'include: false'}: continue
            if code and 'echo: false' not in opts: parts.append(f'```python\n{code}\n```')
            parts += [output(o) for o in c.get('outputs', [])]
    return NOTE + '\n\n'.join(p for p in parts if p) + '\n'

def main():
    new,dst = readme(json.loads((ROOT/'nbs/index.ipynb').read_text(encoding='utf-8'))),ROOT/'README.md'
    same = dst.exists() and dst.read_text(encoding='utf-8')==new
    if '--check' in sys.argv[1:]:
        print('README.md is current' if same else 'README.md differs from nbs/index.ipynb: run python .ci/readme.py')
        return 0 if same else 1
    if not same: dst.write_text(new, encoding='utf-8')
    print('README.md', 'unchanged' if same else 'written')
    return 0

if __name__=='__main__': sys.exit(main())
