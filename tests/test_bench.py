"The scripts that measure beside others: what they count is counted right. Here, since no chapter is about them"
import json, math, sys
from pathlib import Path
from types import SimpleNamespace
import pytest, torch
sys.path.insert(0, str(Path(__file__).parent/'bench'))
import arch, heart, layers, optim, peers, score
from pretrain import GPT, ModelConfig, train_tokenizer
from pretrain.eval.bpb import bits_per_text

DOCS = ['one two three, four', 'naïve déjà vu '*9, 'x']
def encode(text): return list(text.encode())
SIZES = [1]*256+[0]

def test_a_model_that_knows_nothing_needs_the_bits_of_its_vocabulary():
    bpb,size,count = score.bits_per_byte(lambda x: torch.zeros(*x.shape, 257), encode, SIZES, 256, DOCS, T=7)
    assert (size, count)==(sum(len(o.encode()) for o in DOCS),)*2
    assert bpb==pytest.approx(math.log2(257), rel=1e-6)

def test_each_token_is_a_target_once_and_never_the_first():
    rows = score.windows([*range(20)], 99, T=6)
    assert [i for _,y in rows for i in y]==[*range(20)] and [x[0] for x,_ in rows]==[99, 5, 11, 17]
    assert all(len(x)==len(y) and x[1:]==y[:-1] for x,y in rows)

def test_a_tokenizer_that_loses_bytes_is_noticed():
    with pytest.raises(AssertionError, match='19 bytes in the tokens of a document of 20'):
        score.bits_per_byte(lambda x: torch.zeros(*x.shape, 257), lambda t: encode(t)[1:], SIZES, 256, ['y'*20])

def test_ours_agrees():
    tok = train_tokenizer(DOCS*9, vocab_size=280)
    torch.manual_seed(0)
    model = GPT(ModelConfig(n_layer=1, n_head=1, width=16, seq_len=16), tok.vocab_size)
    with torch.no_grad():
        for p in model.parameters(): p.add_(.1*torch.randn_like(p))
    for doc in DOCS:   # one at a time: the library goes on from document to document, the script begins anew
        found = score.bits_per_byte(lambda x: model.logits(model.hidden(x)), tok.encode, list(map(int, tok.n_bytes)),
                                    tok.bos, [doc], T=16)
        ours = bits_per_text(model, tok, [doc], 16)
        assert found[0]==pytest.approx(ours.bpb, rel=1e-5) and found[1]==ours.n_bytes

def test_pieces_lose_nothing():
    doc = 'words of a document\nthat goes on '*50+'x'*300
    cut = [*peers.pieces(doc, 100)]
    assert ''.join(cut)==doc and max(map(len, cut))<=100 and [*peers.pieces(doc, 0)]==[doc]

@pytest.mark.parametrize('name,line', [
    ('nanochat', 'step 00003/00025 (12.00%) | loss: 8.1 | lrm: 0.10 | dt: 1250.50ms | tok/sec: 818 | bf16_mfu: 0.0'),
    ('nanogpt', 'iter 3: loss 8.1, time 1250.50ms, mfu 0.01%'), ('trainer', 'step 3 took 1.25050 s'),
    ('ours', json.dumps(dict(step=3, loss=8.1, dt_s=1.2505)))])
def test_seconds_of_a_step_are_read(name, line): assert peers.steps_seen(name, line)==[1.2505]

def test_a_finished_run_is_known(tmp_path):
    a = SimpleNamespace(work=tmp_path)
    peers.keep(a, kind='train', peer='ours', depth=4, bpb=2.)
    assert peers.known(a, kind='train', depth=4)['bpb']==2. and peers.known(a, depth=3) is None

def test_the_cost_of_a_record_of_layers_is_that_of_the_step_that_has_one():
    steps = []
    assert len(layers.extra(lambda: steps.append('plain'), lambda: steps.append('layers'), 3))==3
    assert steps==['plain','layers']*(layers.WARM+3)
    found = layers.said('d', [(1., 1.5), (2., 2.2), (2., 2.4)], 100)
    assert found.endswith('a record of its layers +400.0 ms (+20.0%); with one in 100 +0.200% of the run; 3 pairs')

TINY = {'tokenizer.vocab_size': 300, 'model.seq_len': 16, 'model.n_layer': 1, 'model.n_head': 1, 'model.width': 16,
        'loader.batch_rows': 2, 'eval.bytes': 500}

def test_variants_and_optimizers_train_and_are_measured(tmp_path):
    for name in ('train', 'val'):
        lines = [json.dumps(dict(text=f'{i} {name} bottles on the wall')) for i in range(400)]
        (tmp_path/f'{name}.jsonl').write_text('\n'.join(lines))
    keys = TINY | {'prepare.cache': str(tmp_path/'cache')}
    found = [optim.trial(SimpleNamespace(text=tmp_path), keys | optim.TRIALS[o], 1, 9) for o in ('plain', 'AdamW 4e-3')]
    assert all(0<o['bpb']<9 and o['s']>o['optim_s']>0 for o in found) and found[0]['bpb']!=found[1]['bpb']

    (tmp_path/'variants').write_text('# none\nx0: model.x0_scalars=true\nramp: ramp=2\n')
    out = tmp_path/'arch.json'
    keys |= {'data.train': tmp_path/'train.jsonl', 'data.valid': tmp_path/'val.jsonl'}
    keys |= {'train.steps': 2, 'schedule.warmup': 1}
    arch.main([str(tmp_path/'variants'), *(f'{k}={v}' for k,v in keys.items()), '--out', str(out)])
    runs = {r['name']: (r['bpb'],r['bpb_mean']) for r in json.loads(out.read_text())['runs']}
    assert runs.keys()=={'base', 'x0', 'ramp'} and all(0<b<9 for both in runs.values() for b in both)

def test_the_mean_of_states_is_that_of_all_of_them():
    model,mean = torch.nn.Linear(2, 2, bias=False),None
    for n,v in enumerate((1., 4., 7.)):
        torch.nn.init.constant_(model.weight, v)
        mean = arch.averaged(mean, model, n)
    assert mean['weight'].tolist()==[[4., 4.], [4., 4.]]

def counted(n):
    "Is read while it runs"
    x = torch.ones(n,
                   3)
    for _ in range(n):
        x = x+1
    return x

def test_each_line_of_a_function_has_its_time_and_what_it_made():
    steps = [heart.Lines(counted).once(lambda: counted(200)) for _ in range(3)]
    rows,whole = heart.rows_of(counted, steps)
    made,loop,add,end = rows
    assert made['code'].splitlines()[1].strip()=='3)' and made['named']==dict(x='200×3')
    assert loop['code'].strip()=='for _ in range(n):' and add['share']>made['share']>=0 and end['named']=={}
    assert sum(r['share'] for r in rows)==pytest.approx(1, abs=.3) and whole>0

def test_what_is_kept_of_the_heart_is_of_its_lines():
    from pretrain.train.loop import Loop
    kept = Path(__file__).parent.parent/'nbs/reports/heart.json'
    known = {r['code'] for r in json.loads(kept.read_text(encoding='utf-8'))['lines']}
    now = {text for _,text in heart.statements(Loop.update).values()}
    assert len(known & now)>=.9*len(now), f'measure it anew: python tests/bench/heart.py --out {kept}'
