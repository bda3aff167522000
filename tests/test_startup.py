"""How soon a run starts. Here since it needs fresh processes: what they import, and how long `--help` takes."""
import json, os, subprocess, sys

IDLE = """matplotlib sympy torch._dynamo torch._inductor torch.utils.tensorboard pyarrow pandas datasets fsspec s3fs
    wandb trackio tensorboard transformers tokenizers gguf IPython ipywidgets yaml requests""".split()
RUN = """
import json, sys
from pretrain.build import Run
imported = sorted(sys.modules)
run = Run(None, out='run', say=None, **json.loads(sys.argv[1]))
run.step()
print(json.dumps([imported, sorted(sys.modules)]))
"""

def of(modules, names):
    "Those of `names` that are among modules"
    return [n for n in names if any(m==n or m.startswith(n+'.') for m in modules)]

def fresh(code, *args, cwd):
    "What a fresh Python prints"
    env = os.environ | dict(OMP_NUM_THREADS='1')
    done = subprocess.run([sys.executable, '-c', code, *args], cwd=cwd, env=env, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode==0, done.stderr
    return done.stdout

def test_the_first_step_imports_nothing_that_it_does_not_use(tmp_path):
    "Neither what draws, nor readers of other formats, nor torch's compiler"
    (tmp_path/'text.txt').write_text('\n\n'.join(f'A line about the number {i}.' for i in range(400)))
    keys = {'data.train': 'text.txt', 'prepare.cache': 'cache', 'tokenizer.vocab_size': 300, 'model.seq_len': 16,
            'model.n_layer': 1, 'model.n_head': 1, 'model.width': 8, 'loader.batch_rows': 4, 'train.steps': 2,
            'optim.matrix': 'muon'}
    imported,stepped = json.loads(fresh(RUN, json.dumps(keys), cwd=tmp_path))
    assert 'torch' in imported and of(['a.b', 'ab'], ['a', 'ab', 'b'])==['a', 'ab']
    assert of(imported, IDLE)==[]
    assert of(stepped, IDLE)==[]
