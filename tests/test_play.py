"""`pretrain play` in a process of its own, asked over the network by clients that a kernel is not: raw ones that break
every rule, the `openai` package, a browser"""
import http.client, json, os, re, signal, socket, subprocess, sys, threading, time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
import pytest
import axe
import pretrain.base.serve
from helpers import env, quiet
from pretrain.build import Run, load_model
from pretrain.cli import main
from pretrain.base.serve import BODY, CONNECTIONS, HEAD, Server
from pretrain.play import WAITING, Player, Playing

SMALL = {'data.train': 'text.txt', 'data.valid': 'held.txt', 'data.separator': '\n', 'prepare.cache': 'cache',
         'prepare.workers': 1, 'tokenizer.vocab_size': 300, 'model.seq_len': 32, 'model.n_layer': 1, 'model.n_head': 1,
         'model.width': 16, 'loader.batch_rows': 4, 'train.steps': 2, 'train.device': 'cpu',
         'preflight.at_start': False, 'sample.tokens': 20}

@pytest.fixture(scope='module')
def run(tmp_path_factory):
    "A run that has learned next to nothing, in the folder of these tests"
    was,d = os.getcwd(),tmp_path_factory.mktemp('play')
    os.chdir(d)
    for name,lo in (('text', 0), ('held', 300)):
        lines = [f'Line {i} says that {i} is next to {i+1}.' for i in range(lo, lo+300)]
        Path(f'{name}.txt').write_text('\n'.join(lines))
    with Run(None, out='run', say=None, **SMALL) as run: yield run.fit()
    os.chdir(was)

@pytest.fixture(scope='module')
def served(run):
    "The command, and where it is: port, token"
    p = subprocess.Popen([sys.executable, '-m', 'pretrain', 'play', 'run', '--device', 'cpu'], env=env(),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [p.stdout.readline() for _ in range(2)]
    port,token = re.search(r'http://127\.0\.0\.1:(\d+)/\?token=(\S+)', lines[0]).groups()
    assert lines[1].startswith(f'for other programs: base_url=http://127.0.0.1:{port}/v1 api_key={token}')
    yield SimpleNamespace(p=p, port=int(port), token=token, key=('Authorization', f'Bearer {token}'))
    p.kill()
    p.wait()

# ------------------------------------------------------------ clients

def raw(port, data, wait_s=20):
    "What comes back for these bytes"
    with socket.create_connection(('127.0.0.1', port), wait_s) as s:
        try: s.sendall(data)
        except OSError: pass   # it need not be read to the end
        return b''.join(iter(lambda: s.recv(2**16), b''))

def parts(answer):
    "Status and body"
    head,_,body = answer.partition(b'\r\n\r\n')
    return int(head.split()[1]),(joined(body) if b'chunked' in head else body).decode()

def joined(chunks):
    "What came in chunks, to the last one, which is empty"
    res = b''
    while chunks!=b'0\r\n\r\n':
        n,_,rest = chunks.partition(b'\r\n')
        res,chunks = res+rest[:int(n, 16)],rest[int(n, 16)+2:]
    return res

def request(s, body=None, *, method='POST', path='/v1/completions', version='HTTP/1.1', leave=(), **headers):
    "A request as bytes, right unless something else is said"
    data = body if isinstance(body, bytes) else b'' if body is None else json.dumps(body).encode()
    head = dict(Host=f'127.0.0.1:{s.port}', Authorization=f'Bearer {s.token}', Content_Length=len(data)) | headers
    lines = [f'{k.replace("_", "-")}: {v}' for k,v in head.items() if k not in leave]
    return '\r\n'.join([f'{method} {path} {version}', *lines, '', '']).encode()+data

def ask(s, **body):
    status,text = parts(raw(s.port, request(s, body)))
    assert status==200, text
    return json.loads(text)

def streamed(s, **body):
    "Text of a stream, event by event"
    status,text = parts(raw(s.port, request(s, body|dict(stream=True))))
    *events,done,rest = text.split('\n\n')
    assert (status, done, rest)==(200, 'data: [DONE]', '')
    return ''.join(json.loads(e.removeprefix('data: '))['choices'][0]['text'] for e in events)

# ------------------------------------------------------------ what it says

HOWS = [dict(), dict(seed=5), dict(temperature=0.), dict(temperature=1.4, top_k=0, top_p=.8, seed=2),
        dict(min_p=.1, top_k=5, seed=7), dict(tokens=70, seed=1)]
@pytest.mark.parametrize('how', HOWS, ids=str)
def test_streamed_text_is_what_the_run_samples(run, served, how):
    "The same dice, to the last character, also past the context, whatever else is asked for"
    want,body = run.sample('Line ', **how),{('max_tokens' if k=='tokens' else k): v for k,v in how.items()}
    assert streamed(served, prompt='Line ', **body)==want
    assert streamed(served, prompt='Line ', logprobs=5, echo=True, **body)=='Line '+want
    assert ask(served, prompt='Line ', **body)['choices'][0]['text']==want

def test_the_same_as_the_command_that_samples(served, capsys):
    assert main(['sample', 'run', '--prompt', 'Line ', '--seed', '3', '--device', 'cpu'])==0
    assert capsys.readouterr().out=='Line '+streamed(served, prompt='Line ', seed=3)+'\n'

def test_log_probabilities_are_the_surprise(run, served):
    view = run.surprise('Line 7 says that').views[0]
    told = ask(served, prompt='Line 7 says that', echo=True, max_tokens=0, logprobs=3)['choices'][0]['logprobs']
    assert ''.join(told['tokens'])=='Line 7 says that' and told['text_offset'][0]==0
    assert [-p for p in told['token_logprobs']]==pytest.approx(view.nats, abs=1e-5)
    assert [len(t) for t in told['top']]==[3]*len(view.nats)

def test_stop_and_count(run, served):
    text = run.sample('Line ', tokens=60, seed=1)
    cut = text[8:11]
    got = ask(served, prompt='Line ', max_tokens=60, seed=1, stop=[cut])
    assert got['choices'][0]['text']==text[:text.index(cut)] and got['choices'][0]['finish_reason']=='stop'
    assert ask(served, max_tokens=3, temperature=0)['usage']['completion_tokens']<=3

# ------------------------------------------------------------ who is refused

def body(**how): return lambda s: request(s, dict(prompt='Line ', max_tokens=1) | how)
def head(data=b'{}', **how): return lambda s: request(s, data, **how)
def other(**how): return lambda s: request(s, **dict(method='GET', path='/v1/models', leave=('Content_Length',)) | how)

HOSTILE = dict(
    no_token=(401, other(leave=('Authorization',))), wrong_token=(401, other(Authorization='Bearer x')),
    token_of_another_kind=(401, lambda s: other(Authorization=f'Basic {s.token}')(s)),
    page_without_token=(401, other(path='/', leave=('Authorization',))),
    page_with_wrong_token=(401, other(path='/?token=%ff%00', leave=('Authorization',))),
    token_of_the_page_elsewhere=(401, lambda s: other(path=f'/v1/models?token={s.token}', leave=('Authorization',))(s)),
    foreign_origin=(403, body()), null_origin=(403, body()), foreign_host=(403, other(Host='evil.example')),
    rebound_host=(403, lambda s: other(Host=f'evil.example:{s.port}')(s)), other_port=(403, other(Host='127.0.0.1:1')),
    no_host=(400, other(leave=('Host',))), http_1_0_without_host=(400, other(version='HTTP/1.0', leave=('Host',))),
    two_hosts=(400, lambda s: other(host=f'127.0.0.1:{s.port}')(s)), second_host=(400, other(host='evil.example')),
    huge_body=(413, head(Content_Length=10**12)), a_little_too_large=(413, head(Content_Length=BODY+1)),
    large_and_sent=(413, lambda s: request(s, bytes(8*BODY))),
    no_length=(411, head(leave=('Content_Length',))), chunked=(411, head(Transfer_Encoding='chunked')),
    negative_length=(400, head(Content_Length=-1)), length_no_number=(400, head(Content_Length='0x10')),
    two_lengths=(400, head(**{'content-length': 3})), shorter_than_said=(400, head(Content_Length=1)),
    traversal=(404, other(path='/../../../../etc/passwd')),
    traversal_encoded=(404, other(path='/%2e%2e/%2e%2e/etc/passwd')),
    traversal_of_the_page=(404, other(path='//etc/passwd')), whole_address=(404, other(path='http://evil.example/')),
    broken_address=(404, other(path='http://[')), unknown_path=(404, other(path='/v1/chat/completions')),
    post_to_models=(405, head(path='/v1/models')), get_completion=(405, other(path='/v1/completions')),
    preflight=(405, other(method='OPTIONS', path='/v1/completions', Access_Control_Request_Method='POST')),
    trace=(405, other(method='TRACE', path='/')), unknown_method=(405, other(method='BREW', path='/')),
    no_http=(400, lambda s: b'\x16\x03\x01\x02\x00\x01\r\n\r\n'), empty_line=(400, lambda s: b'\r\n\r\n'),
    http_0_9=(400, lambda s: b'GET /\r\n'),
    http_2=(505, other(version='HTTP/2.0')), bad_version=(400, other(version='HTTP/x')),
    long_line=(414, other(path='/'+'a'*10**5)), long_header=(431, other(X='a'*10**5)),
    many_headers=(431, other(**{f'X{i}': 'a' for i in range(200)})),
    endless_headers=(431, other(**{f'X{i}': 'a'*5000 for i in range(HEAD//5000+2)})),
    no_json=(400, head(b'{"prompt": ')), no_utf8=(400, head(b'\xff\xfe')), no_object=(400, head(b'[1]')),
    nan=(400, head(b'{"temperature": NaN}')), infinite=(400, head(b'{"temperature": 1e999}')),
    nested=(400, head(b'['*10**5)),
    a_number_of_5000_digits=(400, head(b'{"seed": '+b'9'*5000+b'}')),
    temperature_as_text=(400, body(temperature='hot')), negative_temperature=(400, body(temperature=-1)),
    negative_tokens=(400, body(max_tokens=-1)), too_many_tokens=(400, body(max_tokens=10**9)),
    tokens_as_flag=(400, body(max_tokens=True)), half_a_token=(400, body(max_tokens=1.5)),
    top_p_above_1=(400, body(top_p=1.1)), logprobs_of_all=(400, body(logprobs=300)), large_seed=(400, body(seed=2**63)),
    too_many_texts=(400, body(n=17)), too_many_prompts=(400, body(prompt=['a']*17)),
    prompt_too_long=(400, body(prompt='Line '*100)), no_prompt=(400, body(prompt={})),
    prompt_of_none=(400, body(prompt=[])),
    foreign_token=(400, body(prompt=[5, 300])), half_a_character=(400, head(b'{"prompt": "\\ud800"}')),
    empty_stop=(400, body(stop='')), many_stops=(400, body(stop=['a']*5)), stop_as_number=(400, body(stop=[3])),
    unknown_field=(400, body(temprature=1)), field_with_no_effect=(400, body(presence_penalty=1)),
    other_model=(404, body(model='gpt-4')))
ORIGINS = dict(foreign_origin='http://evil.example', null_origin='null')

def told_off(answer, want):
    status,text = parts(answer)
    assert status==want, text
    assert text.count('\n')==1 and text.endswith('\n') and len(text)<1000, text
    if status!=503: assert json.loads(text)['error']['message']

@pytest.mark.parametrize('what', HOSTILE)
def test_hostile_request_is_refused_in_a_line(served, what):
    status,make = HOSTILE[what]
    data = make(served)
    if what in ORIGINS: data = data.replace(b'\r\n', f'\r\nOrigin: {ORIGINS[what]}\r\n'.encode(), 1)
    told_off(raw(served.port, data), status)
    assert served.p.poll() is None

def test_head_has_no_body(served):
    assert parts(raw(served.port, other(method='HEAD', path='/')(served)))==(405, '')

def test_what_is_allowed_beside_all_that(served):
    "HTTP/1.0, its own origin, localhost, names in other letters, a length with spaces"
    own = other(version='HTTP/1.0', Host=f'LOCALHOST:{served.port}', Origin=f'http://localhost:{served.port}')
    assert parts(raw(served.port, own(served)))[0]==200
    assert parts(raw(served.port, request(served, b'{"max_tokens": 1}', Content_Length=' 17 ')))[0]==200
    status,page = parts(raw(served.port, other(path=f'/?token={served.token}', leave=('Authorization',))(served)))
    assert status==200 and page.startswith('<!doctype html>') and served.token not in page

def test_two_hundred_at_once(served):
    "Some are answered, the others told that the queue is full; then all is as before"
    answers,data = [],request(served, dict(prompt='Line ', max_tokens=200, stream=True))
    def one(): answers.append(raw(served.port, data, 60))
    threads = [threading.Thread(target=one) for _ in range(200)]
    for t in threads: t.start()
    for t in threads: t.join()
    good = [a for a in answers if parts(a)[0]==200]
    assert len(answers)==200 and len(good)>WAITING and all(parts(a)[1].endswith('data: [DONE]\n\n') for a in good)
    assert len({parts(a)[1].count('"text"') for a in good})==1
    for a in answers:
        if a not in good: told_off(a, 429)
    assert ask(served, max_tokens=1)['object']=='text_completion' and served.p.poll() is None

def test_nothing_listens_beyond_loopback(served):
    "All sockets of the process that listen, as the system lists them"
    inodes = {os.readlink(f) for f in Path(f'/proc/{served.p.pid}/fd').iterdir() if f.is_symlink()}
    listening = []
    for table in ('tcp', 'tcp6', 'udp', 'udp6'):
        for line in Path(f'/proc/{served.p.pid}/net/{table}').read_text().splitlines()[1:]:
            f = line.split()
            if f'socket:[{f[9]}]' in inodes and (f[3]=='0A' or table[:3]=='udp'): listening.append((table, f[1]))
    assert listening==[('tcp', f'0100007F:{served.port:04X}')]

# ------------------------------------------------------------ clients that are slow, or leave

@contextmanager
def inside(player, **limits):
    "A server in this process, with other limits"
    was,playing = {k: getattr(pretrain.base.serve, k) for k in limits},Playing(player)
    vars(pretrain.base.serve).update(limits)
    with Server(playing.doors()) as server:
        t = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=.01))
        t.start()
        try: yield SimpleNamespace(port=server.server_port, token=server.token, server=server, turns=playing.turns)
        finally:
            server.shutdown()
            t.join()
            vars(pretrain.base.serve).update(was)

class Endless:
    "A model that counts the tokens it chooses, and never ends a document"
    def __init__(self, model, bos): self.model,self.bos,self.n = model,bos,0
    def __getattr__(self, name): return getattr(self.model, name)
    def logits(self, x):
        self.n += 1
        z = self.model.logits(x)
        z[...,self.bos] = -99.
        return z

@pytest.fixture
def player(run):
    model,tok,cfg,_ = load_model('run', 'cpu')
    return Player('run@2', Endless(model, tok.bos), tok, cfg.sample)

def test_slow_clients_are_told_so(player):
    "Who sends a byte now and then, or less than was said, has the same time as all; others are answered meanwhile"
    with inside(player, READ_S=.6, END_S=.1) as s:
        drip,silent = (socket.create_connection(('127.0.0.1', s.port), 10) for _ in range(2))
        silent.sendall(request(s, b'{}', Content_Length=99))
        start = time.monotonic()
        for b in b'GET /v1/':
            drip.sendall(bytes([b]))
            time.sleep(.04)
        assert ask(s, max_tokens=1)['choices']
        for c in (drip, silent):
            told_off(b''.join(iter(lambda: c.recv(9999), b'')), 408)
            c.close()
        assert time.monotonic()-start<5 or not quiet()

@pytest.mark.parametrize('stream', [True, False])
def test_who_leaves_is_not_answered(player, stream):
    "The model stops at the next token, and is free"
    with inside(player) as s:
        c = socket.create_connection(('127.0.0.1', s.port), 10)
        c.sendall(request(s, dict(max_tokens=4096, stream=stream, temperature=3, top_k=0)))
        while player.model.n<5: time.sleep(.001)
        c.close()
        assert ask(s, max_tokens=0)['choices'][0]['text']=='' and player.model.n<4096

def test_who_waits_and_leaves_is_forgotten(player):
    with inside(player) as s:
        done,real = [],s.server.shutdown_request
        def end(request):
            real(request)
            done.append(request)
        s.server.shutdown_request = end
        with s.turns.take(lambda: True):
            for _ in range(3*WAITING):
                c = socket.create_connection(('127.0.0.1', s.port), 10)
                c.sendall(request(s, dict(max_tokens=1)))
                c.close()
            until = time.monotonic()+60
            while len(done)<3*WAITING and time.monotonic()<until: time.sleep(.01)
        assert ask(s, max_tokens=1)['choices'] and player.model.n<=1

def test_who_hardly_reads_is_left(player):
    "An answer that is taken little by little holds the model no longer than is said, all waits together"
    with inside(player, WRITE_S=.3, END_S=.1) as s:
        c = socket.socket()
        s.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**15)   # those that it accepts have it too
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**15)
        c.connect(('127.0.0.1', s.port))
        much = dict(prompt=[7]*30, n=16, max_tokens=256, logprobs=20, echo=True, temperature=3, top_k=0, stream=True)
        c.sendall(request(s, much))
        while player.model.n<5: time.sleep(.001)
        end = time.monotonic()+60
        while s.turns.model.locked() and time.monotonic()<end:
            assert c.recv(2**9)   # less than the model writes meanwhile, whoever else uses this machine
            time.sleep(.05)
        assert not s.turns.model.locked() and player.model.n<16*256
        c.close()

def test_a_connection_too_many(player):
    "Who is connected and says nothing takes a place; one more is told so"
    with inside(player, READ_S=60., END_S=.1) as s:
        crowd = [socket.create_connection(('127.0.0.1', s.port), 10) for _ in range(CONNECTIONS)]
        status,text = parts(raw(s.port, b''))
        assert (status, text)==(503, 'too many connections\n')
        for c in crowd: c.close()
        while s.server.room._value<CONNECTIONS: time.sleep(.01)
        assert ask(s, max_tokens=1)['choices']

# ------------------------------------------------------------ clients that others wrote

def test_client_of_the_standard_library(served):
    c = http.client.HTTPConnection('127.0.0.1', served.port)
    c.request('GET', '/v1/models', headers=dict([served.key]))
    assert json.load(c.getresponse())['data'][0]['id']=='run@2'

def test_client_of_openai(run, served):
    openai = pytest.importorskip('openai')
    client = openai.OpenAI(base_url=f'http://127.0.0.1:{served.port}/v1', api_key=served.token, max_retries=0)
    name, = (m.id for m in client.models.list())
    assert client.models.retrieve(name).id==name=='run@2'
    make,want = client.completions.create,run.sample('Line ', seed=3)
    one = make(model=name, prompt='Line ', seed=3, logprobs=2)
    assert one.choices[0].text==want and one.usage.completion_tokens==len(one.choices[0].logprobs.tokens)
    flow = [*make(model=name, prompt='Line ', seed=3, stream=True, stream_options=dict(include_usage=True))]
    assert ''.join(c.choices[0].text for c in flow[:-1])==want and flow[-1].usage==one.usage
    two = make(model=name, prompt=['Line ', 'A'], n=2, seed=3, max_tokens=5, extra_body=dict(top_k=0))
    assert [c.text for c in two.choices]==[run.sample(p, tokens=5, seed=3+i, top_k=0)
                                           for i,p in enumerate(['Line ','Line ','A','A'])]
    with pytest.raises(openai.AuthenticationError): openai.OpenAI(base_url=client.base_url, api_key='x').models.list()
    with pytest.raises(openai.BadRequestError, match='from 0 to 100 works'): make(model=name, prompt='', temperature=-1)
    with pytest.raises(openai.NotFoundError, match='run@2 is'): make(model='gpt-4', prompt='')

def text_of(page):
    "What was read and written, as it stands on the page"
    return ''.join(page.locator('#out span').all_text_contents()).replace('⏎', '').replace('◌', '')

def as_shown(text): return re.sub('[\x00-\x08\x0b-\x1f\x7f-\x9f]', lambda m: f'\\u{ord(m[0]):04x}', text)

def test_page_in_a_browser(run, served, player):
    "Write, take what else was likely, go on, stop, by hand and by keyboard; no complaint, nothing from elsewhere"
    if why := axe.missing(also_axe=False): pytest.skip(why)
    from playwright.sync_api import expect
    with axe.browser() as b, axe.opened(b, f'http://127.0.0.1:{served.port}/?token={served.token}', 360) as (page,told):
        tokens,on = page.locator('#out span'),page.locator('#on')
        def written(): expect(on).to_be_enabled(timeout=20_000)
        page.locator('#max_tokens').fill('20')
        page.locator('#temperature').press('ArrowRight')
        assert page.locator('#temperature-said').text_content()=='0.85'
        page.locator('#temperature').press('ArrowLeft')
        page.fill('#text', 'Line ')
        page.keyboard.press('Control+Enter')
        written()
        assert text_of(page)==as_shown('Line '+run.sample('Line ', tokens=20))
        kept = tokens.all_text_contents()[:4]
        tokens.nth(4).click()
        assert page.locator('#instead li').count()==12
        if not axe.missing():
            for mode in axe.MODES:
                page.emulate_media(color_scheme=mode)
                assert axe.look(page)==[], mode
        page.locator('#instead li button').nth(2).click()
        written()
        assert tokens.all_text_contents()[:4]==kept and page.locator('#instead').is_hidden()
        n = tokens.count()
        tokens.nth(4).press('ArrowLeft')
        page.keyboard.press('Enter')
        page.keyboard.press('Escape')
        assert page.evaluate('document.activeElement.parentElement.id')=='out'
        on.press('Enter')
        written()
        assert tokens.count()>=n and page.evaluate('document.documentElement.scrollWidth')==360
        page.fill('#text', 'Nobody 日本 👋\nlikes to write it twice')
        page.locator('#top_p').press('End')
        page.reload()
        expect(page.locator('#write')).to_be_enabled()
        expect(page.locator('#top_p-said')).to_have_text('1.00')
        assert page.input_value('#text')=='Nobody 日本 👋\nlikes to write it twice'
        with inside(player) as s, axe.opened(b, f'http://127.0.0.1:{s.port}/?token={s.token}') as (endless,more):
            endless.locator('#max_tokens').fill('4096')
            endless.locator('#write').click()
            expect(endless.locator('#out span')).not_to_have_count(0)
            endless.keyboard.press('Escape')
            expect(endless.locator('#state')).to_contain_text('stopped')
            while s.turns.model.locked(): time.sleep(.01)
            assert 0<player.model.n<4096 and more==[]
    assert told==[]

# ------------------------------------------------------------ from the shell

def test_port_in_use_and_no_run(served, capsys):
    taken = f'--port={served.port}'
    for args,said in [(['run', taken], f'{taken.replace("=", " ")}: in use; without it a free one is taken'),
                      (['run', '--port=-1'], '--port -1: from 0 to 65535 works; without it a free one is taken'),
                      (['nowhere'], 'nowhere: not a run directory (no config.toml in it)')]:
        assert main(['play', *args])==2
        assert tuple(capsys.readouterr())==('', f'pretrain: {said}\n')

def test_ctrl_c_in_the_middle_of_an_answer(served):
    "The last of these tests: all that was refused left no line, it ends at once, and what was cut off looks so"
    c = http.client.HTTPConnection('127.0.0.1', served.port, timeout=60)
    body = json.dumps(dict(max_tokens=4096, stream=True, temperature=3, top_k=0))
    c.request('POST', '/v1/completions', body, dict([served.key]))
    answer = c.getresponse()
    assert answer.read(99)
    served.p.send_signal(signal.SIGINT)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)): answer.read()
    out,err = served.p.communicate(timeout=60)
    assert (served.p.returncode, out, err)==(128+signal.SIGINT, 'stopped\n', '')
