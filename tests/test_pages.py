"""Pages in a real browser: no fault that axe-core calls serious, no complaint of the console, nothing asked of another
machine, no page wider than a phone. In tests/, since it starts a browser; skipped where there is none."""
import pytest
import axe

needs = pytest.mark.skipif(bool(axe.missing()), reason=f'missing: {axe.missing()}')

@pytest.fixture(scope='module')
def chromium():
    with axe.browser() as b: yield b

HEAD = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title></head><body><main><h1>t</h1>'
FAULTY = {'<p style="color:#999;background:#fff">pale</p>': 'color-contrast', '<img src="data:,">': 'image-alt',
          '<input>': 'label', '<script>throw Error("thrown")</script>': 'error: thrown',
          '<script>fetch("http://127.0.0.2:9/")</script>': 'asks for http://127.0.0.2:9/',
          '<p style="width:900px">wide</p>': 'px wide in a window of 360',
          '<div style="width:90px;overflow:hidden"><p style="width:200px">a line of prose</p></div>': 'cut off at'}

@needs
def test_what_is_wrong_with_a_page_is_seen(chromium, tmp_path):
    (tmp_path/'bad.html').write_text(HEAD+''.join(FAULTY))
    (tmp_path/'good.html').write_text(HEAD+'<p>black on white</p>')
    bad = axe.faults(chromium, tmp_path/'bad.html', widths=(360,), modes=('light',))
    for why in FAULTY.values(): assert any(why in o for o in bad), f'{why}: {bad}'
    assert {*map(axe.kind_of, bad)}=={*axe.KINDS}-{'links'} and axe.kind_of('x.html leads nowhere')=='links'
    assert axe.faults(chromium, tmp_path/'good.html')==[]

@needs
def test_each_mode_is_looked_at(chromium, tmp_path):
    "A colour that is readable on white and not on black"
    style = '<style>p{color:#444}@media (prefers-color-scheme:dark){body{background:#111}}</style>'
    (tmp_path/'a.html').write_text(HEAD+style+'<p>grey</p>')
    bad = axe.faults(chromium, tmp_path/'a.html', widths=(800,))
    assert bad and all('dark: serious' in o for o in bad), bad

@needs
def test_of_texts_of_a_kind_one_is_asked_and_the_ground_makes_the_kind(chromium, tmp_path):
    (tmp_path/'a.html').write_text(HEAD+'<p>on white</p>'*9+'<div style="background:#222"><p>on black</p></div>')
    with axe.opened(chromium, tmp_path/'a.html') as (tab,_):
        assert 'color-contrast' in ''.join(axe.look(tab))
        assert tab.locator('p[data-one]').count()==2
