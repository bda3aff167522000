"""lm-evaluation-harness on a run, from a YAML task and a file of JSON lines. Here since the package is optional:
without it the test is skipped."""
import json, subprocess, sys
import pytest
pytest.importorskip('lm_eval', reason="needs pip install 'pretrain[harness]'")

HARNESS = '''
import json, math, sys, torch
import lm_eval
from lm_eval.tasks import TaskManager
from pretrain.export.harness import harness_lm
from pretrain.build import load_model
model,tok,cfg,step = load_model(sys.argv[1], 'cpu')
res = lm_eval.simple_evaluate(model=harness_lm(model, tok), tasks=['choose','whole','write'],
                              bootstrap_iters=0, verbosity='ERROR',
                              task_manager=TaskManager(include_path=sys.argv[2], include_defaults=False))
worst = 0
for s in res['samples']['choose']:
    for o,((lp,best),) in zip(s['doc']['options'], s['resps']):
        ids,n = [tok.bos, *tok.encode(s['doc']['question']+' '+o)],1+len(tok.encode(s['doc']['question']))
        with torch.no_grad(): z = model(torch.tensor([ids[:-1]]))[0].double().log_softmax(-1)
        worst = max(worst, abs(lp-sum(z[p-1,ids[p]].item() for p in range(n, len(ids)))))
nats = 0
for s in res['samples']['whole']:
    ids = [tok.bos, *tok.encode(s['doc']['question'])]
    with torch.no_grad(): z = model(torch.tensor([ids[:-1]]))[0].double().log_softmax(-1)
    nats -= sum(z[p-1,ids[p]].item() for p in range(1, len(ids)))
size = sum(len(s['doc']['question'].encode()) for s in res['samples']['whole'])
r = res['results']
print('RESULT', json.dumps(dict(worst=worst, n=len(res['samples']['choose']), acc=r['choose']['acc,none'],
                                match=r['write']['exact_match,none'], bits=r['whole']['bits_per_byte,none'],
                                want=nats/math.log(2)/size)))
'''
TOL = 1e-4     # of a log probability [nats]
LIMIT_S = 300  # a test that takes longer has hung

def test_local_task_on_a_run(tmp_path):
    from helpers import SMALL, env, pretrain, write_texts
    write_texts(tmp_path/'texts')
    p = pretrain('train', 'quickstart', *SMALL, 'data.train=texts', 'train.steps=4', 'out=run', cwd=tmp_path)
    assert p.returncode==0, p.stderr
    rows = [dict(question=f'The {a} is', options=['red','a list of names','not'], answer=i%3)
            for i,a in enumerate(('list','dict','set','tuple','name'))]
    (tmp_path/'data.jsonl').write_text(''.join(json.dumps(r)+'\n' for r in rows))
    common = ('dataset_path: json\ndataset_kwargs:\n  data_files:\n'
              f'    test: {tmp_path/"data.jsonl"}\ntest_split: test\n')
    tasks = dict(choose='output_type: multiple_choice\ndoc_to_text: "{{question}}"\n'
                 'doc_to_choice: "{{options}}"\ndoc_to_target: "{{answer}}"\nmetric_list:\n'
                 '  - metric: acc\n',
                 whole='output_type: loglikelihood_rolling\ndoc_to_text: ""\n'
                 'doc_to_target: "{{question}}"\nmetric_list:\n  - metric: bits_per_byte\n',
                 write='output_type: generate_until\ndoc_to_text: "{{question}}"\ndoc_to_target: "red"\n'
                 'generation_kwargs:\n  until: ["."]\n  max_gen_toks: 5\nmetric_list:\n'
                 '  - metric: exact_match\n')
    for name,body in tasks.items(): (tmp_path/f'{name}.yaml').write_text(f'task: {name}\n{body}{common}')
    p = subprocess.run([sys.executable, '-c', HARNESS, 'run', str(tmp_path)], cwd=tmp_path,
                       env=env(HF_DATASETS_OFFLINE='1'), capture_output=True, text=True, timeout=LIMIT_S)
    assert p.returncode==0, p.stderr[-2000:]
    r = json.loads(p.stdout.split('RESULT ')[1])
    assert r['worst']<TOL and r['n']==len(rows) and 0<=r['acc']<=1 and r['match']==0
    assert abs(r['bits']-r['want'])<TOL
