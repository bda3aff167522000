"""CORE once more, one example and one option at a time, from its description alone.

Nothing here may come from `pretrain.eval.core`: what shares code with a result cannot vouch for it. Slow on purpose,
and without a thought for memory."""
import csv, json, math, random
from pathlib import Path
import torch, torch.nn.functional as F, yaml

def tasks_of(bundle):
    "What the list of a bundle says, with the baseline [%] from its table"
    bundle = Path(bundle)
    with open(bundle/'eval_meta_data.csv', newline='', encoding='utf-8') as f:
        guess = {r['Eval Task']: float(r['Random baseline']) for r in csv.DictReader(f)}
    tasks = yaml.safe_load((bundle/'core.yaml').read_text(encoding='utf-8'))['icl_tasks']
    return [t | dict(guess=guess[t['label']]) for t in tasks]

def lines_of(bundle, task):
    "Rows of a data file"
    with open(Path(bundle)/'eval_data'/task['dataset_uri'], encoding='utf-8') as f:
        return [json.loads(l) for l in f if l.strip()]

def answered(kind, row, between):
    "A solved example"
    if kind=='multiple_choice': return row['query'] + between + row['choices'][row['gold']]
    if kind=='schema': return row['context_options'][row['gold']] + between + row['continuation']
    return row['context'].strip() + between + row['continuation']

def asked(bundle, task, encode, bos, max_per_task=0, max_seq_len=0):
    """Every example of a task before any model has seen it: its row, the rows of its shots, ids and scored span of each
    option"""
    kind,between = task['icl_task_type'],task.get('continuation_delimiter', ' ')
    n_shots = task['num_fewshot'][0]
    deck = list(enumerate(lines_of(bundle, task)))
    random.Random(1337).shuffle(deck)
    if max_per_task>0: deck = deck[:max_per_task]
    for i in range(len(deck)):
        row,item = deck[i]
        shots = []
        if n_shots>0: shots = random.Random(1234+i).sample([j for j in range(len(deck)) if j!=i], n_shots)
        before = ''
        for j in shots: before += answered(kind, deck[j][1], between) + '\n\n'
        if kind=='multiple_choice': texts = [before + item['query'] + between + c for c in item['choices']]
        elif kind=='schema': texts = [before + c + between + item['continuation'] for c in item['context_options']]
        else:
            without = before + item['context'].strip() + between
            texts = [without.strip(), without + item['continuation']]
        options = [[bos] + [int(t) for t in encode(s)] for s in texts]
        same = 0
        if kind=='multiple_choice':
            while same<min(map(len, options)) and len({o[same] for o in options})==1: same += 1
            first = [same for _ in options]
        elif kind=='schema':
            while same<min(map(len, options)) and len({o[-1-same] for o in options})==1: same += 1
            first = [len(o)-same for o in options]
        else:
            assert options[1][:len(options[0])]==options[0], f"{task['label']}: row {row}"
            first,options = [len(options[0])],options[1:]
        found = dict(task=task['label'], kind=kind, idx=i, row=row, shots=[deck[j][0] for j in shots],
                     ids=[], spans=[], gold=item.get('gold'))
        for o,a in zip(options, first):
            gone = len(o)-max_seq_len if max_seq_len and len(o)>max_seq_len else 0
            found['ids'].append(o[gone:])
            found['spans'].append((a-gone, len(o)-gone))
        yield found

def decided(found, losses, guesses):
    "The example with what a model made of it"
    if found['kind']=='language_modeling':
        (a,b),ids = found['spans'][0],found['ids'][0]
        predicted,gold = guesses[0],ids[a:b]
    else:
        predicted,gold = 0,found['gold']
        for k in range(len(losses)):
            if losses[k]<losses[predicted]: predicted = k   # never true where one is NaN
    return found | dict(losses=losses, predicted=predicted, gold=gold, correct=predicted==gold)

@torch.no_grad()
def answer(found, model):
    "One forward pass for each option, with all logits"
    losses,guesses = [],[]
    for ids,(a,b) in zip(found['ids'], found['spans']):
        ids = torch.tensor(ids)
        logits = model(ids[None])[0].float()
        each,guess = [],[]
        if 0<a<b:   # nothing stands before the first token
            each = F.cross_entropy(logits[a-1:b-1], ids[a:b], reduction='none').tolist()
            guess = logits[a-1:b-1].argmax(-1).tolist()
        # summed exactly: an order of equal terms must not decide a tie
        losses.append(math.fsum(each)/len(each) if each else math.nan)
        guesses.append(guess)
    return decided(found, losses, guesses)

@torch.no_grad()
def answer_together(found, model):
    """One forward pass for all options of an example, padded behind, with all logits, a loss and a first guess
    everywhere: as nanochat does"""
    T = max(map(len, found['ids']))
    ids = torch.zeros(len(found['ids']), T, dtype=torch.int64)
    for row,o in zip(ids, found['ids']): row[:len(o)] = torch.tensor(o)
    logits = model(ids).float()
    loss = F.cross_entropy(logits.flatten(0,1), ids.roll(-1, 1).flatten(), reduction='none').view(ids.shape)
    best = logits.argmax(-1)
    losses = [loss[k,a-1:b-1].mean().item() for k,(a,b) in enumerate(found['spans'])]
    return decided(found, losses, [best[k,a-1:b-1].tolist() for k,(a,b) in enumerate(found['spans'])])

def core_of(examples, bundle):
    "Accuracy and centred accuracy of each task, and their plain mean"
    rows = {}
    for t in tasks_of(bundle):
        right = [e['correct'] for e in examples if e['task']==t['label']]
        acc,b = sum(right)/len(right),t['guess']/100
        rows[t['label']] = acc,(acc-b)/(1-b)
    return rows,sum(c for _,c in rows.values())/len(rows)
