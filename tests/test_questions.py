"""The questions of CONTRIBUTING.md are answered where the list says: each heading exists, and below it stand the words
that make up the answer. In tests/, since it reads many chapters at once."""
import json, re
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r'\]\(([^)#]+\.ipynb)(?:#([^)]+))?\)')
LEAST = 10   # Questions

def slug(heading):
    "The anchor of a heading"
    return re.sub(r'[^\w -]', '', heading).strip().lower().replace(' ', '-')

def questions(text):
    "(question, places, words) of each row of the list"
    part = re.search(r'^## Questions about pretraining.*?(?=^## )', text, re.M|re.S)[0]
    rows = [[c.strip() for c in l.strip('|').split('|')] for l in part.splitlines() if l.startswith('| ')]
    return [(q, LINK.findall(where), words) for q,where,words in rows[1:]]

def below(cells, anchor):
    "The prose under a heading, the first where none is named, up to the next one; None where there is none"
    found,on = [],False
    for c in (c for c in cells if c['cell_type']=='markdown'):
        for l in ''.join(c['source']).splitlines():
            h = re.match(r'#{1,6} +(.*)', l)
            if h: on = slug(h[1])==anchor if anchor else l.startswith('# ')
            elif on: found.append(l)
    return ' '.join(' '.join(found).split()) if found else None

LIST = questions((ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8'))
def asked(path): return json.loads((ROOT/path).read_text(encoding='utf-8'))['cells']

def test_there_are_ten(): assert len(LIST)>=LEAST and all(where and words for _,where,words in LIST)

@pytest.mark.parametrize('question,where,words', LIST, ids=[q for q,*_ in LIST])
def test_an_answer_is_where_the_list_says(question, where, words):
    for path,anchor in where:
        text = below(asked(path), anchor)
        assert text is not None, f'{path}: no heading #{anchor}'
        assert words in text, f'{path}#{anchor} does not say {words!r}'

@pytest.mark.parametrize('anchor,text', [('a-b', 'one'), ('two-words', 'x y'), ('a', None), ('', 'one')])
def test_a_heading_that_is_gone_is_noticed(anchor, text):
    md = lambda *lines: dict(cell_type='markdown', source='\n'.join(lines))
    cells = [md('# A b', '', 'one'), dict(cell_type='code', source='# Two'), md('## Two: words', 'x'), md('y')]
    assert below(cells, anchor)==text
