"""The search of the website: an index made when it is built, and what `site.js` does with it in a browser.

The weight of each word in each section is worked out here (BM25, a heading counts more than text), so asking is adding
up. `ask` is the same few lines as in the browser, for the tests."""
import json, math, re
from collections import Counter, defaultdict

STOP = set('''a about an and any are as at be been between but by can could did do does for from get had has have
how i if in into is it its just may me mine more most much must my need no not of on one or our
should so some such than that the their them then there these they this to too up use used using was
we were what when where whether which who why will with would you your'''.split())
TWICE = 'll', 'nn', 'pp', 'tt', 'mm', 'rr', 'gg'
# What newcomers say, and what the chapters say. Both are asked for
ALSO = '''
oom vram ram: memory room; gpus: gpu device; gpu: device; cuda: gpu; crash crashed: killed resume checkpoint;
resumes restart: resume; ctrl: interrupt signals; dataset data: corpus text; folder: corpus;
huggingface hf: transformers; wandb: weights biases; lr: learning rate; warmup: warm rise; diverge: guard spike;
nan: guard finite; spike: guard; bpb perplexity: bits byte; inference: generation; sample: generation writes;
chat server: play; cost: flops parameters; speed: tokens second; slow fast: speed; ddp: parallel;
fsdp: parallel shards; slurm: machines; multi: ranks; ollama llama: gguf; finetune: init begin;
mixed: mixture precision; bf16 fp16 float16 bfloat16 half: precision;
duplicate duplicates: copies twice; compare: setting versus another;
pretrained: others began beginning; long: minutes budget; begin: first run tutorial writes; start: beginning;
api openai: completions; noise: seeds spread; browser: page; big: size depth; tokenizer: bpe; seed: seeds;
reproducible deterministic: bit seed; dashboard: tensorboard; s3: buckets; vocab: vocabulary; hyperparameters: dial;
chinchilla: curve size; params: parameters; benchmark: core; leak: mask shift; shifted targets: shift inputs;
# machines and places
macbook mac: device mps machine; laptop mps tpu: device machine; apple: mps; cpu: device threads;
h100 a100: planning gpu; cluster nodes node: machines ranks; cloud: buckets machines;
colab jupyter vscode: notebook lab; kernel: notebook; docker: install; install installation: pip venv;
preempted preemptible preemption: signals killed; spot: killed resume; power: killed interrupt; outage dead: killed;
dies: killed watch rank; worker workers: process rank; hang hangs freeze stuck timeout: watch;
# a run
continue: resume; extend: resume budget; longer: budget resume; epochs: epoch; iterations iteration: step;
early: budget; finished: end; progress: panel; bar: progress; notebook: cell panel; log logging: metrics log;
logs: log; monitor: report tracker; watching: report; mlflow: sinks tracker; override overrides: value arguments;
flag flags: option arguments; settings: config; yaml: toml config; example examples: tutorial; tutorial: first run;
# text
csv tsv: tables records; jsonl: records lines; json: records; txt pdf html: readers; zip: streams;
gz zst: streams compressed; gzip: compressed; unicode emoji: utf bytes; encoding: utf encode; utf: bytes;
broken: policy flaws; corrupt: damaged flaws; language languages english multilingual: scripts;
shuffle shuffled: order epoch; random: seed; streaming: remote; deduplicate dedup deduplication: copies twice;
clean quality: flaws; filter: flaws policy; gpt2: tiktoken; tiktoken sentencepiece: tokenizer; eos eot: special bos;
# a model
transformer layer: block; context: window length; sequence: row length; layers: block depth;
normalization layernorm rmsnorm: norm; dropout: regularisation; swiglu relu activation feedforward: mlp; moe: extras;
rope positional: rotation position; embeddings: embedding; tied: embedding head; adam: adamw optimizer;
sgd: optimizer; momentum: schedule moments; cosine: schedule fall; decay: fall; scheduler: schedule;
entropy crossentropy: loss; exploding explode: spike clip; vanishing: gradient norm; decreasing decrease: falls wrong;
overfit overfitting: validation epoch; compile: compiled machine; quantize quantization quantized int8: gguf;
vllm: apertus; safetensors: weights; convert: export; checkpoints: checkpoint; load: load_model;
interpretability: inside lens; visualise visualize picture: draw figure; plot: curves draw;
repeats repetition greedy: temperature; beam: choices; prompt: samples;
# how good, how fast
nanogpt nanochat: beside others; compared: beside; faster: speed; throughput: tokens second;
hellaswag mmlu arc: core tasks; accuracy: core; evaluation: core validation; evals: core evaluate; harness: tasks;
significant significance: interval noise; error: interval; improvement: difference; money price: plan hours;
budget: minutes;
'''
ALSO = {k: new.split() for row in re.sub('#.*', '', ALSO).split(';') if row.strip() for old,new in [row.split(':')]
        for k in old.split()}
# What words ask for together that say nothing of it alone
PAIRS = (('much data', 'tokens curve big'), ('much text', 'tokens curve big'), ('part data', 'mixture weights'),
         ('fraction dataset', 'mixture weights'),
         ('subset data', 'mixture weights'), ('many tokens', 'curve big'),
         ('much cost', 'plan hours money'), ('much time', 'minutes budget'))
K,B = 2,.3                 # BM25: how soon repetition counts no more, how much length counts
HEAD = 6                   # What a word of a heading counts, beside one of the text
TITLE,LINE,LEAD = 12,6,2   # In the first section: a word of the page's title, of the line below it, of the text
SAID = 4                   # A word of what other pages say of a place
FIRST,LATER = 1.1,.5       # Pages that are written for a first reading, and lists of everything
MEASURED = .8              # Pages of measurements
WHOLE = .5                 # What the rest of a page adds to its best section
OTHER = .8                 # What a word counts that was not asked for itself
NAMED = 2                  # What a section gains whose heading says just what was asked
SNIPPET = 150              # Letters of a section that a result shows

ENDINGS = (('ization', 'iz'), ('isation', 'iz'), ('ation', 'at'), ('ing', ''), ('ed', ''), ('er', ''))
def stem(w):
    "A word without its ending, roughly: both sides of the search do the same"
    if len(w)>4 and w.endswith('ies'): w = w[:-3]+'y'
    elif len(w)>3 and w.endswith('s') and not w.endswith(('ss', 'us', 'is')): w = w[:-1]
    for end,new in ENDINGS:
        if len(w)>len(end)+3 and w.endswith(end):
            w = w[:-len(end)]+new
            w = w[:-1] if w[-2:] in TWICE else w
    w = w[:-1] if len(w)>4 and w.endswith('e') else w
    return w[:-1]+'z' if len(w)>5 and w.endswith('is') else w

def words(s):
    "The words that count; of `lr_mult` also its parts"
    for w in re.findall(r'[a-z0-9_]+', s.lower()):
        parts = [p for p in w.split('_') if p]
        yield from (o for o in dict.fromkeys([w.strip('_'), *parts]) if len(o)>1 and o not in STOP)

def rank(href):
    "Is a page for a first reading, or a list of everything?"
    if re.match(r'tutorials/|(index|beyond)\.', href): return FIRST
    if href.startswith('reports/'): return MEASURED
    return LATER if re.match(r'(contributing|changelog|register)\.', href) else 1

def make(
    entries, # Sections as smalldocs lists them
    about,   # href of a page -> the line under its title
    said,    # href of a page or a section -> what other pages say of it
):
    "Pages, parts, and the weight of each word in each part"
    pages,parts,counts,places = {},[],[],{e['href'] for e in entries}
    lost = defaultdict(str)   # said of a place that is no section: it goes to the page
    for href,text in said.items():
        if href not in places: lost[href.partition('#')[0]] += f' {text}'
    for e in entries:
        href,_,anchor = e['href'].partition('#')
        fresh = href not in pages
        at = pages.setdefault(href, [len(pages), e['title']])[0]
        text = re.sub(r'\s+', ' ', e['text']).strip()
        n = Counter()
        for s,weight in ((text, LEAD if fresh else 1), (e['section'], HEAD), (e['title'] if fresh else '', TITLE),
                         (about.get(href, '') if fresh else '', LINE), (said.get(e['href'], ''), SAID),
                         (lost[href] if fresh else '', SAID)):
            for w in words(s): n[stem(w)] += weight
        parts.append([at, anchor, e['section'], text[:SNIPPET]])
        counts.append((n, rank(href)))
    mean = sum(sum(n.values()) for n,_ in counts)/max(1, len(counts))
    seen,found = Counter(w for n,_ in counts for w in n),defaultdict(list)
    for i,(n,factor) in enumerate(counts):
        long = 1-B+B*sum(n.values())/mean
        for w,k in n.items():
            rare = math.log(1+(len(counts)-seen[w]+.5)/(seen[w]+.5))
            found[w] += [i, round(10*factor*rare*k*(K+1)/(k+K*long))]
    also = {stem(k): [stem(w) for w in v] for k,v in ALSO.items()}
    pairs = [[pair.split(), [stem(w) for w in words(more)]] for pair,more in PAIRS]
    return dict(pages=[[h,t] for h,(_,t) in pages.items()], parts=parts, words=dict(sorted(found.items())), also=also,
                pairs=pairs, stop=sorted(STOP))

def ask(index, question, n=8):
    "The pages that answer best: (page, its best part), the best first"
    asked = {}
    for w in map(stem, words(question)):
        asked[w] = 1
        for o in index['also'].get(w, ()): asked.setdefault(o, OTHER)
    said = {*re.findall('[a-z0-9]+', question.lower())}
    for o in [o for pair,more in index['pairs'] if said>={*pair} for o in more]: asked.setdefault(o, OTHER)
    best,part = {},{}
    for w,share in asked.items():
        found = index['words'].get(w)
        if found is None and share==1:   # a word that is still being written
            found = [v for k,l in index['words'].items() if k.startswith(w) or len(k)>3 and w.startswith(k) for v in l]
        top = {}
        for i,weight in zip((found or [])[::2], (found or [])[1::2]):
            page = index['parts'][i][0]
            part[i] = part.get(i, 0)+share*weight
            top[page] = max(top.get(page, 0), share*weight)
        for page,weight in top.items(): best[page] = best.get(page, 0)+WHOLE*weight
    lead,own = {},{*map(stem, words(question))}
    for i in part:
        page,anchor,heading,_ = index['parts'][i]
        head = {*map(stem, words(heading or ('' if anchor else index['pages'][page][1])))}
        part[i] *= 1+NAMED*(len(own&head)/len(own|head))**2
        s = part[i]
        if page not in lead or s>part[lead[page]]: lead[page] = i
    order = sorted(lead, key=lambda p: (-best[p]-part[lead[p]], p))
    return [(index['pages'][p], index['parts'][lead[p]]) for p in order[:n]]

def write(entries, about, said, at):
    "The index as a script, which a page may load from a file too"
    index = json.dumps(make(entries, about, said), ensure_ascii=False, separators=(',', ':'))
    at.write_text(f'window.siteIndex = {index};\n', encoding='utf-8')
