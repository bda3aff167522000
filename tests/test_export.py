"""Out and in by every door: function, command line, torchrun. In tests/, since these are processes, and since
transformers is imported once for all of them. `python tests/exported.py FOLDER` compares more."""
import pytest, torch
pytest.importorskip('transformers')
from exported import PROMPTS, greedy, make_run, odd_texts, unlike
from helpers import pretrain, write_texts
from pretrain import load_model
from pretrain.export.hf import read_hf
from pretrain.store.log import read_metrics

@pytest.fixture(scope='module')
def here(tmp_path_factory):
    "A run that learnt something, and its export by the command line"
    d = tmp_path_factory.mktemp('export')
    write_texts(d/'text')
    make_run(d/'run', **{'data.train': [str(d/'text')], 'prepare.cache': str(d/'cache'), 'train.steps': 60})
    p = pretrain('export', 'run', '--to', 'out', cwd=d)
    assert p.returncode==0 and 'compared: greatest difference of logits' in p.stdout, p.stderr
    return d

@pytest.fixture(scope='module')
def both(here): return load_model(here/'run', 'cpu')[:2],read_hf(here/'out')

def test_same_ids(both):
    (_,tok),(_,auto) = both
    assert unlike(tok, auto, odd_texts(300))==[]

def test_same_greedy_tokens(both):
    (model,tok),(other,_) = both
    assert all(greedy(model, other, [tok.bos, *tok.encode(p)], 200) for p in PROMPTS[:2])
    assert len({*model.generate([tok.bos], 200, temperature=0)})>10, 'a model that repeats one word proves nothing'

@pytest.fixture
def cli(here, monkeypatch, capsys):
    "The command line, in this process: exit code, what it printed, what it said"
    from pretrain.cli import main
    monkeypatch.chdir(here)
    def call(*args): return main(list(args)),*capsys.readouterr()
    return call

def test_same_bits_per_byte(cli):
    code,out,err = cli('eval', 'run', 'out', '--data', 'text/if.txt')
    assert code==0, err
    ours,theirs = (l.split()[1:] for l in out.splitlines() if l.startswith(('run ', 'out ')))
    assert ours==theirs

def test_a_folder_writes_as_its_run(cli):
    "What `play` and `sample` open: the run, the folder; what is neither is told so"
    said = [cli('sample', where, '--prompt', 'The ', '--tokens', '12', '--seed', '3', '--device', 'cpu')
            for where in ('run', 'out')]
    assert said[0]==said[1] and said[0][0]==0 and said[0][1].startswith('The '), said
    assert cli('play', 'text')==(2, '', 'pretrain: text: not a run directory (no config.toml in it)\n')

def test_a_folder_of_another_architecture_writes_as_transformers_does(here, both, cli):
    from transformers import LlamaConfig, LlamaForCausalLM
    tok = both[1][1]
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tok), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64))
    for o in (model, tok): o.save_pretrained(here/'llama')
    code,out,err = cli('sample', 'llama', '--prompt', 'The ', '--tokens', '9', '--temperature', '0', '--device', 'cpu')
    begun = torch.tensor([[tok.bos_token_id, *tok('The ', add_special_tokens=False)['input_ids']]])
    want = model.eval().generate(begun, max_new_tokens=9, do_sample=False)[0,1:]
    assert (code, out)==(0, tok.decode(want, clean_up_tokenization_spaces=False)+'\n'), err

TEXT = ['data.train=text', 'prepare.cache=cache', 'train.steps=2', 'train.device=cpu', 'preflight.at_start=false',
        'schedule.warmup=1', 'loader.batch_rows=4', 'eval.bytes=8000', 'sample.tokens=2', 'metrics.peak_tflops=1']

def val(run): return [r['val_bpb'] for r in read_metrics(run/'metrics.jsonl') if 'val_bpb' in r]

def test_import_goes_on_with_the_same_loss(here, cli):
    code,out,err = cli('import', 'out', '--out', 'back', *TEXT)
    assert code==0 and 'imported: out as step 0 of back' in out, err
    code,_,err = cli('train', 'back')
    assert code==0, err
    assert val(here/'back')[0]==val(here/'run')[-1]
    assert load_model(here/'back', 'cpu')[1]==load_model(here/'run', 'cpu')[1]

def test_two_ranks_begin_with_the_same_weights(here, cli):
    (here/'on.toml').write_text('[train]\ninit = "run"\n')
    code,_,err = cli('train', 'on.toml', 'out=one', *TEXT)
    assert code==0, err
    p = pretrain('train', 'on.toml', 'out=two', *TEXT, cwd=here, n_proc=2)
    assert p.returncode==0, p.stderr
    assert val(here/'one')[0]==val(here/'run')[-1]
    assert val(here/'two')==pytest.approx(val(here/'one'), rel=1e-6)

@pytest.mark.parametrize('args,says', [
    (['export', 'text', '--to', 'new'], 'text: not a run directory'),
    (['export', 'run@9', '--to', 'new'], 'no checkpoint of step 9'),
    (['export', 'run', '--to', 'text'], 'text: not empty'),
    (['export', 'run', '--to', 'run/new'], 'inside the run run'),
    (['import', 'text', '--out', 'new', 'data.train=text'], 'neither a run nor a folder with config.json'),
    (['import', 'out', '--out', 'new'], 'data.train=PATH is needed')])
def test_refused_in_a_line(here, cli, args, says):
    code,_,err = cli(*args)
    assert code==2 and says in err and err.count('\n')==1
    assert not (here/'new').exists()
