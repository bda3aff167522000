"""Plant a bug in a copy of the library and see the named test fail: `python tests/mutations.py [--full] [NAME...]`
prints mutation -> failing test.

A mutation replaces a text that occurs exactly once in the exported cells of one notebook, there and in the exported
module, so it can't go stale unnoticed. The test it names is a heading of a notebook, which is then run up to its first
failing cell, or a pytest node id. Pytest leaves out those marked `full`: their test takes long, or their chapter has
others that are planted."""
import json, multiprocessing, os, re, shutil, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

@dataclass(frozen=True)
class Mutation:
    name:str      # What is broken
    nb:str        # Notebook that exports the code, without folder and suffix
    old:str       # Text to replace
    new:str       # What replaces it
    shown_by:str  # `nbs/data/loader.ipynb#Heading`, or a pytest node id
    error:str = 'AssertionError'  # How the test must fail; a crash would prove less
    full:bool = False             # Only with --full, or by name: its test takes long, or its chapter has others

MUTATIONS = [
    Mutation('a step above the peak passed over', 'train/mfu', 'over,ours = bool(old.value) and rate>old.value', 'over,ours = False', 'nbs/train/mfu.ipynb#Never above 100 %', full=True),
    Mutation('a peak measured beside others believed', 'train/mfu', '+BUSY*(not alone), not alone)', ', False)', 'nbs/train/mfu.ipynb#Measured, where no table knows'),
    Mutation('shift 0', 'data/shift', 'rows[..., 1:].contiguous()', 'rows[..., :-1].contiguous()', 'nbs/data/shift.ipynb#The shift'),
    Mutation('shift 2', 'data/shift', 'rows[..., 1:].contiguous()', "__import__('torch').nn.functional.pad(rows[..., 2:], (0,1), value=-1)", 'nbs/data/shift.ipynb#The shift'),
    Mutation('loader slice ignores the rank', 'data/loader', 'self.rows(lo+self.mine.start, lo+self.mine.stop)', 'self.rows(lo, lo+self.batch_rows//self.world)',
             'nbs/data/loader.ipynb#One run, however it is computed'),
    Mutation('rows of a source come as early as they like', 'data/mixture', 'return -(-(m*had[i]+1)*total//(m*shares[i]))', 'return 0', 'nbs/data/mixture.ipynb#Never a whole row'),
    Mutation('weights ignored', 'data/mixture', 'Turns(weights or [o.n_text for o in self.each])', 'Turns([o.n_text for o in self.each])', 'nbs/data/mixture.ipynb#Sources become one loader', full=True),
    Mutation('a source in an order not its own', 'data/mixture', 'Loader(t, T, 1, source_seed(seed, k), window)', 'Loader(t, T, 1, seed, window)', 'nbs/data/mixture.ipynb#Sources become one loader', full=True),
    Mutation('every batch begins each source anew', 'data/mixture', 'k = self.turns.before(lo).tolist()', 'k = [0]*len(self.each)', 'nbs/data/mixture.ipynb#Sources become one loader', full=True),
    Mutation('epochs of one source taken for those of another', 'data/mixture', 'zip(self.each, marks[::2], marks[1::2])', 'zip(self.each[::-1], marks[::2], marks[1::2])', 'nbs/data/mixture.ipynb#What a checkpoint keeps', full=True),
    Mutation('validation takes what it likes', 'eval/share', 'n = share*PASSES*n_tok/max(times, 1)*bytes_per_tok', 'n = share*PASSES*n_tok*bytes_per_tok', 'nbs/eval/share.ipynb#Tokens against tokens'),
    Mutation('a size that was asked for is chosen', 'eval/share', 'if cfg.bytes or not cfg.share: return cfg.bytes', 'if cfg.bytes and not cfg.share: return cfg.bytes', 'nbs/eval/share.ipynb#The choice', full=True),
    Mutation('a chosen size is chosen anew', 'train/identity', 'for k in chosen if now[k]==default[k]!=was[k]}', 'for k in ()}', 'nbs/train/identity.ipynb#As it was begun', full=True),
    Mutation('a part stands for the whole without its tokens', 'eval/text', 'return amount_to(v.loss*n, n, o.n_bytes)', 'return v', 'nbs/eval/text.ipynb#An estimate from a part', full=True),
    Mutation('a slow model is tried on everything', 'eval/preflight', 'while T>=2*SHORTEST and cost(rows, T)>seconds: T //= 2', 'while False: T //= 2', 'nbs/eval/preflight.ipynb#In seconds'),
    Mutation('activations of a short row taken for those of a long one', 'eval/check_room', 'round(one+each*(rows*T-n))', 'round(one+each*(rows-1)*n)', 'nbs/eval/check_room.ipynb#What a run takes'),
    Mutation('a page that is written whatever it costs', 'base/meanwhile', 'if self.cost_s>CHEAP_S and self.now()-self.ended<self.cost_s/SHARE: return False', 'pass', 'nbs/base/meanwhile.ipynb#Again and again', full=True),
    Mutation('no page at a validation', 'alive', "if 'val_bpb' in self.rec: self.show()", 'pass', 'nbs/alive.ipynb#A run that shows itself'),
    Mutation('a reader takes a core from the training', 'showing', 'if self.seen is None or s!=self.seen and t-self.made>=self.took/SHARE:', 'if self.seen is None or s!=self.seen:', 'nbs/showing.ipynb#Up to date, at a bounded cost'),
    Mutation('a band of seeds that is one of them', 'eval/overlay', 'ys.min(0)[few].tolist(), ys.max(0)[few].tolist()', 'ys[0][few].tolist(), ys[0][few].tolist()', 'nbs/eval/overlay.ipynb#Curves of a group'),
    Mutation('background work at full priority', 'base/meanwhile', "if sys.platform=='linux': os.setpriority(", "if sys.platform=='none': os.setpriority(", 'nbs/base/meanwhile.ipynb#Meanwhile'),
    Mutation('blocks stay compiled outside of the loss', 'train/machine', 'del b.forward', 'pass', 'nbs/train/machine.ipynb#Compiled by block', 'AttributeError', full=True),
    Mutation('compiled blocks keep all', 'train/machine', 'within(was, partial(through, b))', 'partial(through, b)', 'nbs/train/parallel.ipynb#Less memory for more work', full=True),
    Mutation('every rank says a mistake', 'base/dist', ".decode()==str(rank())", ".decode()!=''", 'nbs/base/dist.ipynb#One decides, all follow', full=True),
    Mutation("torch's compiler imported at each start", 'model/optim', 'MOVE = inspect.unwrap(torch.optim.AdamW.step)', 'MOVE = torch.optim.AdamW.step', 'tests/test_startup.py::test_the_first_step_imports_nothing_that_it_does_not_use', full=True),
    Mutation('sources measured on each other', 'eval/text', 'each = {k: of(o, part.parts[k]) for k,o in text.parts.items()}', 'each = dict(zip(text.parts, (of(o, part.parts[k]) for k,o in reversed(text.parts.items()))))', 'nbs/eval/text.ipynb#From several sources', full=True),
    Mutation('trained on in one source, measured in another', 'data/parts', 'but = held.get(o.name, frozenset())', 'but = frozenset()', 'nbs/data/parts.ipynb#All tokens', full=True),
    Mutation('another weight goes on', 'train/identity', "if shares and 'train' not in allow: return", "if False: return", 'nbs/train/identity.ipynb#Comparing', full=True),
    Mutation('a batch that leaves no steps', 'model/dial', 'best = min(REF_B*(D/REF_D)**POWER_B, D/MIN_STEPS)', 'best = REF_B*(D/REF_D)**POWER_B', 'nbs/model/dial.ipynb#Tokens a step'),
    Mutation('the dial wins over what is said', 'model/dial', 'if key not in self.said: self.found[key]', 'if True: self.found[key]', 'nbs/model/dial.ipynb#Turning it', full=True),
    Mutation('rates that ignore the width', 'model/dial', 'mult,wide = rate_mult(B, D),math.sqrt(REF_C/cfg.width)', 'mult,wide = rate_mult(B, D),1.', 'tests/test_configs.py::test_depth_series[4]'),
    Mutation('pairs counted across the end of a text', 'model/pairs', 'there = (a>=0) & (b>=0)', 'there = b>=0', 'nbs/model/pairs.ipynb#Counting'),
    Mutation('frequencies left out of the first weights', 'model/pairs', '(logp/const)[:,None]', '(0*logp/const)[:,None]', 'nbs/model/pairs.ipynb#Into the model', full=True),
    Mutation('a model that is too sure passes where it knows pairs', 'eval/check_model', 'return (off if knows else abs(off))<=tol', 'return knows or abs(off)<=tol', 'nbs/eval/check_model.ipynb#The first loss'),
    Mutation('the largest size is the best', 'model/curve', 'return min(found, key=lambda o: (o.bpb, o.depth))', 'return max(found, key=lambda o: o.depth)', 'nbs/model/curve.ipynb#The best size for a time', full=True),
    Mutation('repeated text worth as much as fresh', 'model/curve', 'if D<=U: return D', 'return D', 'nbs/model/curve.ipynb#Text that repeats'),
    Mutation('a size chosen anew at a resume', 'sizes', "same = was.get('model.n_layer')==depth or depth=='auto' and was.get('model.dial_tokens')", 'same = False', 'tests/test_sizes.py::test_a_choice_is_made_once', full=True),
    Mutation('a leaked mask passes the preflight', 'eval/check_model', 'return (moved>tol and early<=tol, f', 'return (moved>tol, f', 'nbs/tutorials/goes_wrong.ipynb#A mask that leaks', full=True),
    Mutation('a warning names a path of the machine', 'train/loop', "say(f'warning: {p}'.replace(str(self.out), shown(self.out)))", "say(f'warning: {p}')", 'nbs/tutorials/stop_resume.ipynb#A damaged checkpoint', full=True),
    Mutation('causal mask removed', 'model/blocks', 'return dict(is_causal=True)', 'return dict(is_causal=False)', 'nbs/model/blocks.ipynb#What may be seen'),
    Mutation('one parameter in no group', 'model/optim', 'res[k].append((n,p))', 'res[k] += [(n,p)] if p.ndim else []', 'nbs/model/optim.ipynb#Every parameter in exactly one group'),
    Mutation('Newton-Schulz not applied', 'model/muon', 'for a,b,c in coeffs:', 'for a,b,c in ():', 'nbs/model/muon.ipynb#Without a decomposition'),
    Mutation('one shape group skipped', 'model/muon', 'for ps in shapes.values(): self._move', 'for ps in [*shapes.values()][:-1]: self._move', 'nbs/model/muon.ipynb#Muon'),
    Mutation('momentum not restored', 'model/moments', '{n:v.clone() for n,v in found[key].items()}', "{n:torch.zeros_like(v) if n=='momentum_buffer' else v.clone() for n,v in found[key].items()}",
             'nbs/model/moments.ipynb#State that comes back bit for bit'),
    Mutation('polynomials of a wide matrix do not meet', 'model/muon', 'Q = P if Q is None else P@Q', 'Q = P', 'nbs/model/muon.ipynb#Without a decomposition', full=True),
    Mutation('equal rows, but not the full norm', 'model/muon', "if g['equal_rows']: U = full_norm(U)", 'pass', 'nbs/model/muon.ipynb#Refinements', full=True),
    Mutation('NorMuon remembers the last step only', 'model/muon', 'list(mean.flatten(1)), 1-beta2)', 'list(mean.flatten(1)), 1)', 'nbs/model/muon.ipynb#Refinements', full=True),
    Mutation('NorMuon changes the norm of a step', 'model/muon', 'return V*(torch.linalg.matrix_norm(U, keepdim=True)/torch.linalg.matrix_norm(V, keepdim=True).clamp(min=eps))', 'return V', 'nbs/model/muon.ipynb#Refinements', full=True),
    Mutation('cautious the wrong way round', 'model/muon', 'torch.where(u*p>=0, keep, 1.)', 'torch.where(u*p<0, keep, 1.)', 'nbs/model/muon.ipynb#Refinements', full=True),
    Mutation('Nesterov cannot be switched off', 'model/muon', "if g['nesterov'] else means", 'if True else means', 'nbs/model/muon.ipynb#Refinements', full=True),
    Mutation('rows of zeros are blown up', 'model/muon', 'dim=-1, keepdim=True).clamp(min=LEAST)', 'dim=-1, keepdim=True)', 'nbs/model/muon.ipynb#Refinements', full=True),
    Mutation('mean squares not restored', 'model/moments', '{n:v.clone() for n,v in found[key].items()}', "{n:torch.zeros_like(v) if n==BY_ROW else v.clone() for n,v in found[key].items()}",
             'nbs/model/moments.ipynb#State that comes back bit for bit', full=True),
    Mutation('momentum does not move', 'model/optim', "g['momentum'] = momentum", 'pass', 'nbs/model/optim.ipynb#Optim: what the loop talks to', full=True),
    Mutation('decay falls from where it fell to', 'model/optim', "g['weight_decay'] = g['base_decay']*decay", "g['weight_decay'] *= decay", 'nbs/model/optim.ipynb#Optim: what the loop talks to', full=True),
    Mutation('memories of the embedding have no effect', 'model/optim', 'betas=cfg.embed_betas or betas', 'betas=betas', 'nbs/model/optim.ipynb#Optim: what the loop talks to', full=True),
    Mutation('a switch does not reach Muon', 'model/optim', "('nesterov', 'beta2', 'equal_rows', 'cautious', 'scale')", "('nesterov', 'beta2', 'equal_rows', 'scale')", 'nbs/model/optim.ipynb#Optim: what the loop talks to', full=True),
    Mutation("NorMuon's moments not counted", 'model/optim', '(longer(p) if by_muon and cfg.muon_beta2 else 0)', '0', 'nbs/model/optim.ipynb#What it remembers', full=True),
    Mutation('momentum rises at once', 'model/schedule', 'return begin + (full-begin)*i/n', 'return full', 'nbs/model/schedule.ipynb#What else moves', full=True),
    Mutation('decay never falls', 'model/schedule', 'left = max(N-i, 0)/N', 'left = 1.', 'nbs/model/schedule.ipynb#What else moves', full=True),
    Mutation('clip disabled', 'train/gradients', 'if max_norm: torch._foreach_mul_', 'if max_norm<0: torch._foreach_mul_', 'nbs/train/gradients.ipynb#Clipping'),
    Mutation('LR off by one step in the rise', 'model/schedule', 'return (i+1)/cfg.warmup', 'return i/cfg.warmup', 'nbs/model/schedule.ipynb#The settings'),
    Mutation('LR off by one step in the fall', 'model/schedule', 'p = max(N-i, 0)/d', 'p = max(N-i-1, 0)/d', 'nbs/model/schedule.ipynb#The settings'),
    Mutation('the fall jumps where the length changes', 'model/schedule', 'N,bend = n,None if level else (before,left)', 'N,bend = n,None', 'nbs/model/schedule.ipynb#A length that is found on the way', full=True),
    Mutation('one early estimate of the length', 'train/budget', 'return n if n!=N and abs(late)>max(SLACK*(left-end_s), pace) else 0', 'return 0', 'nbs/train/budget.ipynb#The decision', full=True),
    Mutation('nothing kept for what comes after the last step', 'train/budget', 'return (N-i)*pace_s+between+end_s', 'return (N-i)*pace_s+between', 'nbs/train/budget.ipynb#How many steps fit'),
    Mutation('time spent before is forgotten', 'train/budget', "self.carried_s = saved.get('spent_s', 0.)", 'self.carried_s = 0.', 'nbs/train/budget.ipynb#What a checkpoint keeps', full=True),
    Mutation('time between two steps by hand counts', 'train/budget', 'if not self.depth: self.before_s += self.now()-self.began', 'if not self.depth: self.depth = 1', 'nbs/train/budget.ipynb#The stopwatch', full=True),
    Mutation('decisions of a config ignored', 'train/loop', 'or [list(o) for o in zip(train.horizon[::2], train.horizon[1::2])]', 'or [list(train.horizon[:2])]*bool(train.horizon)', 'nbs/train/loop.ipynb#In so many minutes', full=True),
    Mutation('of two lengths the weaker acts', 'base/config', 'if says[p]<max(says.values())]', 'if says[p]>min(says.values())]', 'nbs/base/config.ipynb#The whole'),
    Mutation('EMA not debiased', 'train/metrics', '(1-self.beta)/self.weight*(x-self.mean)', '(1-self.beta)*(x-self.mean)', 'nbs/train/metrics.ipynb#A loss you can read'),
    Mutation('clip before accumulation', 'train/loop',
             'norm = self.parallel.clip(self.params, self.clip)', 'norm = self.parallel.clip(self.params, 0)\n    self.opt.zero_grad()\n'
             '    def clipped(a, b): self.parallel.clip(self.params, self.clip); return self.loss(a, b)\n'
             '    accumulate(clipped, x, y, n_tok, self.settings.micro_rows or len(x), self.machine.device)',
             'nbs/build.ipynb#Accumulation changes nothing'),
    Mutation('gradients summed before accumulation ends', 'train/parallel', "quiet = self.mode=='ddp' and not last and", "quiet = self.mode=='ddp' and not True and",
             'tests/test_parallel.py::test_two_ranks_are_one_process[ddp best 1]', full=True),
    Mutation('gradients rounded before they are summed', 'train/gradients', 'dtype=torch.float64))', 'dtype=torch.float32))',
             'nbs/train/gradients.ipynb#The same sum in any order'),
    Mutation('scattered after each micro-batch, rounded each time', 'train/parallel', 'set_requires_gradient_sync(last)', 'set_requires_gradient_sync(True)',
             'tests/test_parallel.py::test_two_ranks_are_one_process[fsdp order 2]', full=True),
    Mutation('clipped by the norm of a shard', 'train/gradients', 'if shards: norm = all_sum(norm.square()).sqrt()', 'if not gs: norm = all_sum(norm.square()).sqrt()',
             'tests/test_parallel.py::test_two_ranks_are_one_process[fsdp best 1]', full=True),
    Mutation('Newton-Schulz on a shard', 'train/parallel', 'return torch.cat(self.exchange(send, [(self.count(n)[self.rank],r,C) for r in self.rows(R)]), 1)',
             'from pretrain.model.muon import orthogonalize\n        return torch.cat([orthogonalize(t) if t.numel() else t for t in self.exchange(send, [(self.count(n)[self.rank],r,C) for r in self.rows(R)])], 1)',
             'tests/test_parallel.py::test_two_ranks_are_one_process[fsdp best 1]', full=True),
    Mutation("one rank's seed", 'build', '    seed_all(cfg.seed)\n    model = GPT(', "    seed_all(cfg.seed+(world() and int(__import__('os').environ.get('RANK', 0))))\n    model = GPT(",
             'tests/test_parallel.py::test_two_ranks_are_one_process[fsdp best 1]', full=True),
    Mutation("one rank's slice of the data", 'base/dist', 'return slice(rank*n, (rank+1)*n)', 'return slice(0, n)',
             'tests/test_parallel.py::test_two_ranks_are_one_process[ddp best 1]', full=True),
    Mutation('gradients averaged over ranks', 'train/parallel', 'u.set_gradient_divide_factor(1.)', 'u.set_gradient_divide_factor(2.)', 'nbs/train/parallel.ipynb#A part on each'),
    Mutation('shards of another size than those of torch', 'train/parallel', 'm = -(-n//W)\n    return slice', 'm = max(n//W, 1)\n    return slice', 'nbs/train/parallel.ipynb#Muon over ranks', full=True),
    Mutation('activations kept in spite of all', 'train/parallel', 'b.forward = partial(checkpoint, b.forward, use_reentrant=False, preserve_rng_state=False)', 'pass', 'nbs/train/parallel.ipynb#Less memory for more work', full=True),
    Mutation('merges in the wrong order', 'export/tokenizer', "key=lambda o: o[1]):\n        parts", "key=lambda o: -o[1]):\n        parts", 'nbs/export/tokenizer.ipynb#The file', full=True),
    Mutation('ranges of a pattern not translated', 'export/tokenizer', "POSSESSIVE.sub(r'(?>\\1{\\2})', pattern)", 'pattern', 'nbs/export/tokenizer.ipynb#The same cuts?', 'ValueError', full=True),
    Mutation('base of RoPE not written', 'export/nanochat', 'rope_theta=cfg.rope_base', 'rope_theta=10000.', 'nbs/export/nanochat.ipynb#The same model?', 'ValueError', full=True),
    Mutation('soft cap forgotten in an export', 'export/nanochat', 'final_logit_softcapping=cfg.softcap or None', 'final_logit_softcapping=None', 'nbs/export/nanochat.ipynb#The same model?', 'ValueError', full=True),
    Mutation('halves of q and k exchanged', 'export/nanochat', '{to[k]: v.to(DTYPES[dtype])', "{to[k]: (v.view(-1, 2, 8, 64).flip(1).reshape(v.shape) if 'attn.q' in k or 'attn.k' in k else v).to(DTYPES[dtype])", 'nbs/export/nanochat.ipynb#The same model?', 'ValueError', full=True),
    Mutation('logits that are no numbers pass', 'export/folder', 'if not found<=most:', 'if found>most:', 'nbs/export/folder.ipynb#The same logits?', full=True),
    Mutation("an export over somebody's files", 'export/folder', 'if there: raise', 'if False: raise', 'nbs/export/folder.ipynb#Where it may go', full=True),
    Mutation('weights to begin with ignored', 'build', 'if weights: model', 'if False: model', 'nbs/build.ipynb#Beginning with weights that exist', full=True),
    Mutation('a norm weight dropped on the way in', 'export/bring', 'if over := sorted(set(theirs)-set(to.values())):', 'if over := []:', 'nbs/export/bring.ipynb#The weights', full=True),
    Mutation('last partial validation batch dropped', 'eval/bpb', 'for c in range(calls):', 'for c in range(n_rows//(B*world)):', 'nbs/eval/bpb.ipynb#In batches'),
    Mutation('validation reads the head', 'eval/text', 'order,size = spread_order(len(doc)),hi-lo', 'order,size = np.arange(len(doc)),hi-lo', 'nbs/eval/text.ipynb#From all over', full=True),
    Mutation('the sample is bounded in tokens', 'eval/text', 'cum = before+np.cumsum(table[tokens.stream(lo, BLOCK_IDS)])', 'cum = before+np.cumsum(table[tokens.stream(lo, BLOCK_IDS)]>0)', 'nbs/eval/text.ipynb#Three sources'),
    Mutation('a text is named by its tokens', 'eval/text', 'text.update(raw)', 'text.update(ids.tobytes())', 'nbs/eval/text.ipynb#Its name', full=True),
    Mutation('names of texts ignore the borders of documents', 'eval/text', 'text.digest()+borders.digest()', 'text.digest()', 'nbs/eval/text.ipynb#Its name', full=True),
    Mutation('yardsticks of the text before stay', 'eval/text', "if kept_text(path)==text.name: return ''", "if path.exists(): return ''", 'nbs/eval/text.ipynb#Yardsticks', full=True),
    Mutation('eval measures what the path now holds', 'eval/text', 'if (joined(toks) if isinstance(toks, dict) else toks).fingerprint==key: return toks', 'return toks', 'nbs/eval/text.ipynb#The text of a run', full=True),
    Mutation('a best of another text stays', 'train/state', "best.get('text', '')!=now['text']", 'False', 'nbs/train/state.ipynb#What is remembered'),
    Mutation('validate measures all of the text', 'build', 'v,each = text_bpb(loss, text,', 'v,each = text_bpb(loss, replace(text, tokens=self.data.valid),', 'nbs/build.ipynb#Looking up from the work', full=True),
    Mutation("yardstick's percentage upside down", 'eval/report', 'abs(1-s.best_bpb/v)', 'abs(1-v/s.best_bpb)', 'nbs/eval/report.ipynb#Five lines', full=True),
    Mutation('curves of two texts in one', 'eval/report', 'if log.texts[i]!=log.texts[i-1]', 'if False', 'nbs/eval/report.ipynb#The plot of a run'),
    Mutation('a drawn curve loses its spikes', 'base/chart', 'lowest(y), lowest(-y), ', 'lowest(y), ', 'nbs/base/chart.ipynb#Fewer points that look the same'),
    Mutation('a gap in a curve is bridged', 'base/chart', 'groupby(points, lambda p: None not in p)', 'groupby([p for p in points if None not in p], bool)', 'nbs/base/chart.ipynb#Fewer points that look the same', full=True),
    Mutation('what differs from the defaults is not told', 'base/card', "value = now if v==was else", "value = now if True else", 'nbs/base/card.ipynb#Settings', full=True),
    Mutation('a failed check is green', 'base/card', "False: ('bad', '✗')", "False: ('ok', '✓')", 'nbs/base/card.ipynb#Bars, verdicts, folds'),
    Mutation('a shown object plans a large corpus', 'data/strips', "if len(self.lens)+self.n_text//self.T<=SMALL:", "if True:", 'nbs/data/strips.ipynb#What a loader inherits'),
    Mutation('a card reads a whole log', 'store/log', "f.seek(max(0, size*i//n-1))", "f.seek(0)", 'nbs/store/log.ipynb#The reader'),
    Mutation('a name in a chart is not escaped', 'base/chart', '{anchor}>{safe(text)}</text>', '{anchor}>{text}</text>', 'nbs/base/chart.ipynb#The parts', full=True),
    Mutation('copies of documents not counted', 'eval/twins', 'copy = np.flatnonzero(first[of]!=np.arange(len(ids)))', 'copy = np.flatnonzero(first[of]>len(ids))', 'nbs/eval/twins.ipynb#A whole corpus'),
    Mutation('copies dropped by their number, not their text', 'eval/twins', 'self.texts.add(ids, number)', 'self.texts.add(number.astype(np.uint64)*np.uint64(BASE), ids)', 'nbs/eval/twins.ipynb#A whole corpus', full=True),
    Mutation('a figure of a sample shown as of the whole', 'eval/figures', 'whole,known = r.whole and not stopped,', 'whole,known = True,', 'nbs/eval/figures.ipynb#What was looked at'),
    Mutation('a flaw found one line off', 'eval/figures', 'down*p.kind.startswith(LINES)', '(down+1)*p.kind.startswith(LINES)', 'nbs/eval/look.ipynb#The look', full=True),
    Mutation('a language for every text', 'eval/scripts', 'np.where(sure, small.argmax(1), 0)', 'small.argmax(1)', 'nbs/eval/scripts.ipynb#Languages'),
    Mutation('a sample by a fixed step', 'eval/evenly', 'i*BASE%ALL<self.rate*ALL', 'i%round(1/self.rate)==0', 'nbs/eval/evenly.ipynb#How much of each'),
    Mutation('surprise of the token before', 'eval/surprise', 'x = torch.tensor([bos, *ids][at:at+len(y)], device=model.device)', 'x = torch.tensor([*ids, bos][at:at+len(y)], device=model.device)', 'nbs/eval/surprise.ipynb#Row by row'),
    Mutation('text of a page not escaped', 'eval/surprise', '{html.escape(seen)}</span>', '{seen}</span>', 'nbs/eval/surprise.ipynb#Colours', full=True),
    Mutation('attention to what comes later', 'eval/inside', 'torch.ones(z.shape[-2:], device=z.device).tril().bool()', 'torch.ones(z.shape[-2:], device=z.device).bool()', 'nbs/eval/inside.ipynb#Attention'),
    Mutation('lens without what stands behind the last block', 'eval/inside', '[model.logits(end)]', '[model.logits(rms_norm(xs[-1], model.cfg.norm_eps))]', 'nbs/eval/inside.ipynb#Layer by layer', full=True),
    Mutation('silent unit taken from a row', 'train/layers', '(g==0).all(0)', '(g==0).all(1)', 'nbs/train/layers.ipynb#Units that never fire', full=True),
    Mutation('layer norms added, not recombined', 'train/layers', 'dtype=torch.float32)).norm().item()', 'dtype=torch.float32)).sum().item()', 'nbs/train/layers.ipynb#Norms'),
    Mutation('update over the size after it', 'train/layers', 'norm_of(p.detach()-before[n] for n,p in ps)/size', 'norm_of(p.detach()-before[n] for n,p in ps)/norm_of(p.detach() for _,p in ps)', 'nbs/train/layers.ipynb#How far a layer moved', full=True),
    Mutation('two standard errors in place of t', 'eval/sure', 't_for(level, n-1)*float(x.std(ddof=1))', '1.96*float(x.std(ddof=1))', 'nbs/eval/sure.ipynb#An interval'),
    Mutation('spread of a sample taken for that of all', 'eval/sure', "float(x.std(ddof=1))/math.sqrt(n)", "float(x.std(ddof=0))/math.sqrt(n)", 'nbs/eval/sure.ipynb#An interval', full=True),
    Mutation('degrees of freedom of equal spreads', 'eval/sure', '(va+vb)**2/(va**2/(na-1)+vb**2/(nb-1)) if va+vb else na+nb-2', 'na+nb-2', 'nbs/eval/sure.ipynb#Two groups', full=True),
    Mutation('pairs that are not partners', 'eval/versus', 'zip(va.T, vb[at].T)', 'zip(va.T, vb[::-1].T)', 'nbs/eval/versus.ipynb#The difference along an axis'),
    Mutation('a curve drawn out beyond its end', 'eval/groups', 'min(x[-1] for x in xs)', 'max(x[-1] for x in xs)', 'nbs/eval/groups.ipynb#On one grid', full=True),
    Mutation('some runs paired, the others dropped', 'eval/groups', 'if len(set(ka))<len(ka) or sorted(ka)!=sorted(kb): return []', 'if not set(ka)<=set(kb): return []', 'nbs/eval/versus.ipynb#The difference along an axis', full=True),
    Mutation('bits per byte of different texts compared', 'eval/groups', 'if all(t in o for _,o in others): return t', 'return t', 'nbs/eval/groups.ipynb#On one text'),
    Mutation('finished seeds read another text', 'seeds', 'if other := [k for k in TEXTS if first[k]!=mine[k]]:', 'if other := []:', 'nbs/seeds.ipynb#Train a series', full=True),
    Mutation('a stopped series goes on with the next seed', 'seeds', 'if not run.done: raise', 'if False: raise', 'nbs/seeds.ipynb#Train a series', full=True),
    Mutation('only heads of documents are hashed', 'eval/check_data', 'tok.decode_bytes(ids[1:])', 'tok.decode_bytes(ids[1:DOC_HEAD])', 'nbs/eval/check_data.ipynb#The exam paper in the textbook'),
    Mutation('a copy with other line ends is another document', 'data/split', "text.replace('\\r\\n', '\\n')", 'text', 'nbs/eval/check_data.ipynb#The exam paper in the textbook', full=True),
    Mutation('text shown when a buffer is full', 'base/screen', '\n    out.flush()', '', 'tests/test_sample.py::test_text_comes_while_it_is_written_until_interrupted', full=True),
    Mutation('markup of a sample taken over', 'base/card', 'return escape(printable(masked(str(text))))', 'return printable(masked(str(text)))', 'nbs/eval/page.ipynb#One page'),
    Mutation('bpb by tokens instead of bytes', 'eval/bpb', 'bpb=nats/math.log(2)/size', 'bpb=nats/math.log(2)/n', 'nbs/eval/bpb.ipynb#In batches'),
    Mutation('generators not restored', 'train/loop', "    set_rng_state(tensors['rng'])\n", '', 'nbs/build.ipynb#Interrupted and resumed'),
    Mutation('position off by one after a resume', 'train/state', 'for k in PLAIN} | {k:', 'for k in PLAIN} | dict(row=self.row+1) | {k:', 'nbs/build.ipynb#Interrupted and resumed'),
    Mutation('guard forgets on a resume', 'train/state', 'for k in PARTS: getattr', "for k in ('ema','clock'): getattr", 'nbs/train/state.ipynb#Saved and restored'),
    Mutation('the best is forgotten on a resume', 'train/state', 'for k in PLAIN: setattr', "for k in ('step','row'): setattr", 'nbs/train/state.ipynb#Saved and restored', full=True),
    Mutation('the best is lost to the pruning after a resume', 'train/state', 'for k in PLAIN: setattr', "for k in ('step','row'): setattr", 'tests/test_strangers.py::test_situation[best_over_resume]', full=True),
    Mutation('a rollback forgets that there was one', 'train/state', 'self.guard.total,self.guard.rollbacks = total,rollbacks', 'pass', 'nbs/train/state.ipynb#Taken back', full=True),
    Mutation('the record is written before what is due', 'train/loop', 'self.ask(self.after)\n                self.write_record()', 'self.write_record()\n                self.ask(self.after)', 'nbs/train/loop.ipynb#The heart'),
    Mutation('another run goes on', 'train/identity', "if key in FREE or not key.startswith((*FIXED,*SAME)): return ''", "return ''", 'nbs/train/identity.ipynb#Comparing'),
    Mutation('another text goes on', 'train/identity', 'if name not in allow or not can_allow(name):', 'if False:', 'nbs/train/identity.ipynb#Comparing', full=True),
    Mutation('a Ctrl-C in the middle of a step', 'train/signals', 'if sig in SAVES:', 'if sig==signal.SIGINT: raise KeyboardInterrupt\n        if sig in SAVES:', 'nbs/train/signals.ipynb#Signals', 'KeyboardInterrupt'),
    Mutation('bad step not refused', 'train/loop', "    if verdict=='go':\n        self.safe", "    self.opt.step()\n    if verdict=='go':\n        self.safe", 'nbs/build.ipynb#When the numbers go bad', full=True),
    Mutation('a changed batch begins at step × batch', 'train/loop', 'self.loader.batch(row=s.row)', 'self.loader.batch(s.step)', 'nbs/train/loop.ipynb#What was trained on', full=True),
    Mutation('a resume plans every epoch', 'train/loop', 'self.loader.know(*self.state.epoch)', 'pass', 'nbs/train/loop.ipynb#In the thousandth epoch', full=True),
    Mutation('a place in the data of another seed', 'train/loop', 'if not set(PLANNERS) & set(self.changed): ', '', 'nbs/train/loop.ipynb#In the thousandth epoch', full=True),
    Mutation('tokens of a skipped step count as trained', 'train/loop', "tokens=n_tok if verdict=='go' else 0", 'tokens=n_tok', 'nbs/train/loop.ipynb#What was trained on', full=True),
    Mutation('the account is of the plan', 'train/state', '    if went: self.trained += n_tok\n    else: self.skipped += n_tok', '    self.trained += n_tok', 'nbs/train/state.ipynb#What is remembered', full=True),
    Mutation('what a rollback took back counts nowhere', 'train/state', 'self.taken_back = tried-self.trained-self.skipped', 'pass', 'nbs/train/state.ipynb#Taken back', full=True),
    Mutation('a jump of the rate is not said', 'model/schedule', 'if abs(after-want)<=CLOSE*want', 'if True', 'nbs/model/schedule.ipynb#A schedule that changes on the way', full=True),
    Mutation('a key without effect is refused', 'train/identity', ' and (acts(k, before) or acts(k, after))', '', 'nbs/train/identity.ipynb#Comparing', full=True),
    Mutation('data of a rollback not passed over', 'train/state', 'here = dict(row=self.row+rows, ', 'here = dict(', 'nbs/train/state.ipynb#Taken back', full=True),
    Mutation('another corpus begins as far in as the former was read', 'train/state', 'begin = left = 0,loader', "begin = left = saved['row'],loader", 'nbs/train/state.ipynb#Another corpus', full=True),
    Mutation('a piece of a tensor at the place of another', 'store/sharded', 'first = min(rank*-(-n//W), n)', 'first = 0', 'nbs/store/sharded.ipynb#What a process has'),
    Mutation('missing rows are not missed', 'store/tensors', "if lo<end and ([first", "if False and ([first", 'nbs/store/tensors.ipynb#Rows in several files', full=True),
    Mutation('a rank that failed to write is not asked', 'store/sharded', "bad = next((o for o in said if 'error' in o), None)", 'bad = None', 'nbs/store/sharded.ipynb#Together', 'KeyError', full=True),
    Mutation('stale rendezvous', 'base/dist', "os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') if", "'0' if", 'tests/test_ranks_fail.py::test_torchrun_starts_again', full=True),
    Mutation('agents that count unequal restarts never meet', 'base/dist', "if _agents() else '0'", "if True else '0'", 'nbs/base/dist.ipynb#Meeting', full=True),
    Mutation('a save dies with the interpreter', 'store/saver', 'daemon=False', 'daemon=True', 'nbs/store/saver.ipynb#In the background'),
    Mutation('somebody else\'s folder is taken', 'store/files', 'if why := foreign(out): raise ValueError(why)', 'pass', 'nbs/store/files.ipynb#To have a directory'),
    Mutation('a folder with a config of ones own is a run', 'store/files', "if not (p/'tokenizer'/'tokenizer.json').is_file(): return False\n    ", '', 'nbs/store/files.ipynb#Is it a run?'),
    Mutation('an older Run steps on', 'store/files', "self.newer,file,self.file = True,", "self.newer,file,self.file = False,", 'nbs/store/files.ipynb#To have a directory', full=True),
    Mutation('a look takes the lock', 'store/files', '        if not write: return\n', '', 'nbs/store/files.ipynb#To have a directory', full=True),
    Mutation('the newest checkpoint instead of the named', 'store/checkpoint', 'if which==NEWEST: return newest', 'if newest: return newest', 'nbs/store/checkpoint.ipynb#Which one', full=True),
    Mutation('nothing is saved when something raises', 'train/keep', 'if self.hold.depth==1 and not', 'if self.hold.depth==9 and not', 'nbs/train/keep.ipynb#Whatever happens', 'CheckpointError'),
    Mutation('half a step is saved as a whole one', 'train/keep', "(dict(half=to_plain(half)) if half else {})", '{}', 'nbs/train/keep.ipynb#True moments', 'KeyError', full=True),
    Mutation('dice after a half step are thrown again', 'train/loop', "    set_rng_state(rng_state(self.safe[1]))\n", '', 'nbs/train/loop.ipynb#Whatever raises', full=True),
    Mutation('weights that were cut off are saved', 'train/loop', "        self.safe = None                             # while", '        # while', 'nbs/train/loop.ipynb#Whatever raises', full=True),
    Mutation('a log is not tried again', 'store/log', 'if not left: raise', 'raise', 'nbs/store/log.ipynb#What it refuses', 'OSError', full=True),
    Mutation('an evaluation overwrites the loss', 'train/metrics', "named(f'{name}/{o}', x, there)", "named(o, x, there)", 'nbs/train/metrics.ipynb#Numbers of others', full=True),
    Mutation('a closed run leaves its last steps', 'train/keep', 'if rest and self.unsaved: self.write_alone()', 'pass', 'nbs/train/keep.ipynb#Given back', 'FileNotFoundError', full=True),
    Mutation('lock ignored', 'store/files', 'fcntl.LOCK_EX|fcntl.LOCK_NB', 'fcntl.LOCK_SH|fcntl.LOCK_NB', 'nbs/store/files.ipynb#One builder at a time'),
    Mutation('hash not checked', 'store/checkpoint', "if sha not in (None, entry['sha256'])", 'if False', 'nbs/store/checkpoint.ipynb#Verifying'),
    Mutation('a save is not awaited at the exit', 'store/saver', 'name=self.name, daemon=False', 'name=self.name, daemon=True', 'nbs/store/saver.ipynb#In the background', full=True),
    Mutation('snapshot not copied', 'store/saver', 'b.copy_(t.detach(), non_blocking=t.is_cuda)', 't.detach()', 'nbs/store/saver.ipynb#In the background', full=True),
    Mutation('NaN is saved', 'store/tensors', 'if not torch.stack(t.aminmax()).isfinite().all():', 'if False:', 'nbs/store/tensors.ipynb#Only finite numbers'),
    Mutation('a damaged checkpoint counts as kept', 'store/checkpoint', 'elif s<step and n<keep and is_intact(p): n += 1', 'elif s<step: n += 1', 'nbs/store/checkpoint.ipynb#Loading', full=True),
    Mutation('no fsync of a file', 'store/files', "        os.fsync(f.fileno())\n        if forget", '        if forget', 'tests/test_faults.py::test_fault[power_cuts]', full=True),
    Mutation('no fsync of the folder', 'store/files', '    sync_dir(final.parent)\n', '', 'tests/test_faults.py::test_fault[power_cuts]', full=True),
    Mutation('no rename', 'store/files', '    os.rename(temp, final)\n', '    shutil.copytree(temp, final); shutil.rmtree(temp)\n', 'tests/test_faults.py::test_fault[power_cuts]', full=True),
    Mutation('a new process draws other random numbers', 'train/loop', "    set_rng_state(tensors['rng'])\n", '', 'tests/test_faults.py::test_fault[single_steps]', full=True),
    Mutation('a new process forgets the moments', 'train/parallel', "opt.load_state_tensors(tensors['optimizer'])", 'pass', 'tests/test_faults.py::test_fault[single_steps]', full=True),
    Mutation('two build in one cache', 'store/files', 'fcntl.LOCK_EX|fcntl.LOCK_NB', 'fcntl.LOCK_SH|fcntl.LOCK_NB', 'tests/test_faults.py::test_fault[two_preparations]', full=True),
    Mutation('hash of a shard not checked', 'data/shards', 'if h.hexdigest()!=sha256: raise', 'if False: raise', 'nbs/data/shards.ipynb#Opening', full=True),
    Mutation('index not checked against itself', 'data/shards', 'if sealed(o)!=o: raise', 'if False: raise', 'nbs/data/shards.ipynb#Is it damaged?', full=True),
    Mutation('ids not checked against the vocabulary', 'data/shards', 'if top>most: raise', 'if False: raise', 'nbs/data/shards.ipynb#Opening', full=True),
    Mutation('split by count', 'data/split', "if not cfg.split_min_docs: return 'shape'", "if not cfg.split_min_docs: return 'tail'", 'nbs/data/split.ipynb#The rule'),
    Mutation('validation bounded by documents alone', 'data/split', 'if (sums+one<=most).all():', 'if (sums+one<=most)[0]:', 'nbs/data/split.ipynb#By the shape', full=True),
    Mutation('a giant gives no end', 'data/split', 'rest, frac), large if', "rest, frac), float('inf') if", 'nbs/data/split.ipynb#The rule', full=True),
    Mutation('copies with other line ends are other texts', 'data/split', "text.replace('\\r\\n', '\\n').replace('\\r', '\\n')", 'text', 'nbs/data/split.ipynb#The same text', full=True),
    Mutation('a copy of a validation file is trained on', 'data/split', 'digest = _digest if cfg.split_min_docs else', 'digest = _digest if True else', 'nbs/data/split.ipynb#The rule', full=True),
    Mutation('the line about the split counts ends as documents', 'data/split', 'whole,part = valid.n_doc-ends,', 'whole,part = valid.n_doc,', 'nbs/data/split.ipynb#Two hundred shapes', full=True),
    Mutation('a run directory is a corpus', 'data/corpus', "if RUN_HAS & names and is_run(folder): return", "if False: return", 'nbs/data/corpus.ipynb#Finding files'),
    Mutation('a pipe is opened', 'data/corpus', "return 'special' if os.path.exists(entry.path) else 'file'", "return 'file'", 'nbs/data/corpus.ipynb#Finding files', full=True),
    Mutation('what is left out is not said', 'data/corpus', 'if left: sources.left =', 'if False: sources.left =', 'nbs/data/corpus.ipynb#Finding files', full=True),
    Mutation('a separator that never occurs is not said', 'data/corpus', 'self.whole += 1', 'self.whole += 0', 'nbs/data/corpus.ipynb#Documents', full=True),
    Mutation('a missing column is no error', 'data/tables', 'if not path: raise CorpusError', 'if not path: CorpusError', 'nbs/data/tables.ipynb#The column'),
    Mutation('a stream cut short is whole', 'data/tables', "if file.read()==STREAM_END: return ''", "return ''", 'nbs/data/tables.ipynb#Arrow', full=True),
    Mutation('checksums of pages are not verified', 'data/tables', 'page_checksum_verification=True', 'page_checksum_verification=False', 'nbs/data/tables.ipynb#Parquet', full=True),
    Mutation('a selection saved as row numbers is read whole', 'data/tables', 'if index: raise CorpusError', 'if index: CorpusError', 'nbs/data/tables.ipynb#Saved datasets', full=True),
    Mutation('the names of splits are trained on', 'data/given', 'if isinstance(docs, Mapping): return', 'if False: return', 'nbs/data/given.ipynb#Items'),
    Mutation('what is saved again is another file', 'data/given', 'if path.is_file() and filecmp', 'if False and filecmp', 'nbs/data/given.ipynb#One file', full=True),
    Mutation('a file with another name is one that is gone', 'data/edits', 'if again is None: continue', 'continue', 'nbs/data/edits.ipynb#In words'),
    Mutation('why a text is another one is not said', 'train/identity', "why = f': {why}' if why else ''", "why = ''", 'nbs/train/identity.ipynb#Comparing', full=True),
    Mutation('another text is encoded before it is refused', 'reading', 'if keys: accept(', 'if False: accept(', 'tests/test_edits.py::test_an_edit_is_noticed_and_its_file_named[truncated]', full=True),
    Mutation('files of before are forgotten when a corpus is asked anew', 'data/prepare', 'if not named: return self.past.get(side, [])', 'if not named: return []', 'nbs/data/prepare.ipynb#A name for the result', full=True),
    Mutation('validation that was kept is not all of it', 'data/split', "if skipped or skipped.cut or self.chars>KEPT_CHARS", "if self.chars>KEPT_CHARS", 'nbs/data/split.ipynb#The rule', full=True),
    Mutation('a cut stream ends quietly', 'data/streams', "if not data: raise self._wrong(f'the {self.what} stream is cut off', 'cut off')", "if not data: return setattr(self, 'd', None) or b''", 'nbs/data/streams.ipynb#Unpacked', full=True),
    Mutation('bytes after a stream are ignored', 'data/streams', "if not self.buf and self.n_members: return False", "if self.n_members: return False", 'nbs/data/streams.ipynb#Unpacked'),
    Mutation('bombs go off', 'data/streams', 'if self.n_out>FREE and self.n_out>self.most*self.n_in: raise self._bomb()', 'pass', 'nbs/data/streams.ipynb#Unpacked', full=True),
    Mutation('a table named .txt is text', 'data/streams', "if not what or inner in OWN.get(what, ()): return file", "if True: return file", 'nbs/data/streams.ipynb#Opened', full=True),
    Mutation('a doubtful line is taken as it is', 'data/records', 'or ESCAPED.search(line): return None', ': return None', 'nbs/data/records.ipynb#Lines'),
    Mutation('who writes <|bos|> gets a document', 'data/tokenizer', 'if text.count(BOS)>sum(map(len, parts)): raise', 'if False: raise', 'nbs/data/tokenizer.ipynb#Many documents at once', full=True),
    Mutation('what a giant gives is not looked at again', 'data/split', 'res[m.chars>=self.long] = LOOK', 'pass', 'nbs/data/split.ipynb#The rule', full=True),
    Mutation('a long line is held', 'data/records', "if size>most and raw[-1:]!=b'\\n':", 'if False:', 'nbs/data/records.ipynb#Lines', full=True),
    Mutation('the last of two texts wins', 'data/records', 'if any(v!=found[0] for v in found):', 'if False:', 'nbs/data/records.ipynb#A JSON document', full=True),
    Mutation('a row that lost a comma is read', 'data/records', 'if len(row)!=len(names):', 'if len(row)<=at:', 'nbs/data/records.ipynb#Tables of text', full=True),
    Mutation('an array may be cut off', 'data/records', "if c!=',': raise NoText(_unclosed(c), 'not JSON' if c else 'cut off')", "if c!=',': return", 'nbs/data/records.ipynb#A JSON document', full=True),
    Mutation('an archive may be cut off', 'data/readers', "if not isinstance(getattr(tar, 'ended', None), tarfile.EOFHeaderError):", 'if False:', 'nbs/data/readers.ipynb#Archives'),
    Mutation('places are counted and not listed', 'data/policy', 'if self._listing: self._listing.add(e, became)', 'pass', 'nbs/data/policy.ipynb#Listed', 'FileNotFoundError', full=True),
    Mutation('the list dies with the next index', 'data/shards', 'if p.name not in (INDEX,LISTED) and p.stem not in ours: p.unlink()', 'if p.name!=INDEX and p.stem not in ours: p.unlink()', 'nbs/data/shards.ipynb#The index', full=True),
    Mutation('an old run reads new formats', 'train/identity', '(was[k]==v or k not in named)', 'was[k]==v', 'nbs/train/identity.ipynb#As it was begun', full=True),
    Mutation('UTF-16 is trained as text', 'data/policy', 'if what := not_text(data): raise', 'if (what := not_text(data)) and False: raise', 'nbs/data/policy.ipynb#Text files', full=True),
    Mutation('replaced bytes are not counted', 'data/policy', 'self.mended += e.wrong', 'self.mended += 0', 'nbs/data/policy.ipynb#Stop, skip, replace'),
    Mutation('a file is what its size, time and inode say', 'data/prepare', 's.st_mtime_ns, s.st_ctime_ns, s.st_ino', 's.st_mtime_ns, s.st_ino', 'nbs/data/prepare.ipynb#A name for the result'),
    Mutation('the hash of a file of this moment is remembered', 'data/prepare', 'source==EMBEDDED or will_tell(stats, when_s)', 'True', 'nbs/data/prepare.ipynb#A name for the result', full=True),
    Mutation('a corpus is listed at each question', 'data/prepare', 'if asked not in self.lists:', 'if True:', 'nbs/data/prepare.ipynb#The tokenizer, kept the same way', full=True),
    Mutation('the tag of a cache over what is not ours', 'data/prepare', 'alone = not root.is_dir() or all(', 'alone = True or all(', 'nbs/data/prepare.ipynb#Settings', full=True),
    Mutation('marks break words', 'data/bpe', "r'\\p{L}[\\p{L}\\p{M}]*+'", "r'\\p{L}++'", 'nbs/data/bpe.ipynb#Marks inside words'),
    Mutation('a run forgets how it was begun', 'train/identity', 'and now[k]==default[k]!=v}', 'and False}', 'nbs/train/identity.ipynb#As it was begun', full=True),
    Mutation('a slow first drawing silences the bar', 'train/progress', 'if not first: self.costs', 'self.costs', 'nbs/train/progress.ipynb#What the ways share'),
    Mutation('the time left is that of all steps', 'train/progress', 'while len(m)>2 and (', 'while False and (', 'nbs/train/progress.ipynb#What the ways share', full=True),
    Mutation('curves keep what was taken back', 'train/progress', 'for c in (*self.curves.values(), self.texts): c.cut(step)', 'pass', 'nbs/train/progress.ipynb#What the ways share', full=True),
    Mutation('a panel grows when a sample comes', 'train/panel', "n = max([prompts, *map(len, texts)])", "n = max([0, *map(len, texts)])", 'nbs/train/panel.ipynb#Watching it learn to write', error='TypeError'),
    Mutation('a strange notebook shows numbers for curves', 'train/panel', '<div class="drawn" hidden>', '<div class="drawn">', 'nbs/train/panel.ipynb#Watching it learn to write', full=True),
    Mutation('what a model wrote becomes a page', 'train/panel', 'html,rest = safe(text),text', 'html,rest = text,text', 'nbs/train/panel.ipynb#Watching it learn to write', full=True),
    Mutation('a bar waits for a long step', 'train/progress', "self.turn('bar', now=True)", 'pass', 'nbs/train/progress.ipynb#In a notebook', full=True),
    Mutation('a failed run looks finished', 'train/progress', "f'failed ({kind.__name__})' if failed else", '', 'nbs/train/progress.ipynb#In a notebook', full=True),
    Mutation('news push the page', 'train/console', 'self.say = self.bar.note', 'pass', 'nbs/train/console.ipynb#Console'),
    Mutation('marks of another text', 'alive', 'if kept_text(path)==self.data.text.name else {}', 'if path.exists() else {}', 'nbs/alive.ipynb#What a run is compared with', full=True),
    Mutation('a file makes shards from its own beginning', 'data/stages', "islice(docs, int(at[mine[0]]-plan['files'][i]), None)", 'islice(docs, 0, None)', 'nbs/data/stages.ipynb#Shards', full=True),
    Mutation('each file has a shape of its own', 'data/units', "all_ = [*self.each('measure', k)]", "all_ = [*self.each('measure', k)][:1]", 'nbs/data/units.ipynb#Which documents are for validation', full=True),
    Mutation('a missing part is passed over', 'data/machines', "if not (lost := missing(notes)): return ''", "if not (lost := missing({})): return ''", 'nbs/data/machines.ipynb#Merging', full=True),
    Mutation('prepared tokens used again unread', 'data/prepare', 'full=prep.verify,', 'full=False,', 'tests/test_faults.py::test_fault[prepared]', full=True),
    Mutation('a tokenizer of another fingerprint is taken', 'data/tokenizer', 'if got!=want: raise', 'if False: raise', 'nbs/data/tokenizer.ipynb#Save and load'),
    Mutation('log read beyond the step to go on from', 'store/log', 'if upto is not None and last>=upto', 'if False', 'nbs/store/log.ipynb#The reader', full=True),
    Mutation('the name of the log is not synced', 'store/log', 'if not self.named: sync_dir', 'if False: sync_dir', 'tests/test_faults.py::test_fault[power_cuts]', full=True),
    Mutation('folders of a tokenizer not synced', 'data/tokenizer', 'path = make_dir(path)', 'path = Path(path).absolute(); path.mkdir(parents=True, exist_ok=True)', 'tests/test_faults.py::test_fault[power_cuts]', full=True),
    Mutation('folders above a first save not synced', 'store/files', 'with suppress(OSError): sync_dir(p)', 'pass', 'tests/test_faults.py::test_fault[power_cuts]', full=True),
    Mutation('removed before what replaces it is on the disk', 'store/checkpoint', 'sync_dir(root)  # its name', 'pass  # its name', 'tests/test_faults.py::test_fault[power_cuts]', full=True),
    Mutation('float64 where the device has none: drawing', 'model/generate', 'p.cpu().double().cumsum(-1)', "p.double().cumsum(-1).cpu()", 'tests/test_mac.py::test_a_run', 'TypeError', full=True),
    Mutation('float64 where the device has none: RoPE', 'model/blocks', "torch.arange(0, D, 2, device='cpu', dtype", "torch.arange(0, D, 2, device=device or 'cpu', dtype", 'tests/test_mac.py::test_a_run', 'TypeError', full=True),
    Mutation('a very cold choice divides 0 by 0', 'model/generate', 'max(temperature, COLDEST)', 'temperature', 'nbs/model/generate.ipynb#Choosing a token'),
    Mutation('others wait for the first rank within the limit of a collective', 'base/dist', 'return json.loads(s if _alone() else _board.tell(s))', "box = [s]\n    if not _alone(): torch_dist.broadcast_object_list(box)\n    return json.loads(box[0])", 'tests/test_dist.py::test_work_of_one_rank_has_no_limit', full=True),
    Mutation('one of several trains alone', 'base/dist', 'if why := _apart(): raise', 'if False: raise', 'nbs/base/dist.ipynb#Who am I'),
    Mutation('a failed rank is not told of', 'base/dist', "if failed: self.store.set(f'failed {self.n}', failed)", 'pass', 'nbs/base/dist.ipynb#Word that may take its time', full=True),
    Mutation('ranks at different meetings wait for each other', 'base/dist', "if (kind, at.partition(',')[0])==(theirs, there.partition(',')[0]): return", 'return', 'nbs/base/dist.ipynb#Word that may take its time', full=True),
    Mutation('a rank that left is waited for', 'base/dist', "if leaving: return self.look('end') or f'rank {r} has left'", "if False: return ''", 'nbs/base/dist.ipynb#Word that may take its time', full=True),
    Mutation('harness: one seed for all requests', 'export/harness', "dict(seed=choose['seed']+i)", "dict(seed=choose['seed'])", 'nbs/export/harness.ipynb#What do you write?', full=True),
    Mutation('harness: None is a setting', 'export/harness', 'for k,v in how.items() if v is not None}', 'for k,v in how.items()}', 'nbs/export/harness.ipynb#What do you write?', 'ValueError', full=True),
    Mutation('a bf16 run is read in float32', 'build', 'GPT(cfg.model, tok.vocab_size, trained_in(state))', 'GPT(cfg.model, tok.vocab_size)', 'nbs/build.ipynb#A model without its run', full=True),
    Mutation('loading a model throws dice of others', 'build', 'with torch.random.fork_rng(devices=[]): model', 'with torch.no_grad(): model', 'nbs/build.ipynb#A model without its run', full=True),
    Mutation('core: crops not counted', 'eval/core/verdict', 'n_cropped=sum(e.n_cut>0 for e in examples)', 'n_cropped=0', 'nbs/eval/core/evaluate.ipynb#The whole', full=True),
    Mutation('core: an error stays on its rank', 'eval/core/evaluate', 'return together(fn) if world>1 else fn()', 'return fn()', 'tests/test_core.py::test_whatever_fails_on_one_rank', full=True),
    Mutation('fingerprint without the separator', 'data/corpus', 'separator=cfg.separator, on_error', 'on_error', 'nbs/data/corpus.ipynb#A name for the corpus', full=True),
    Mutation('fingerprint without the key of the text', 'data/corpus', 'dict(text_key=cfg.text_key, sep', 'dict(sep', 'nbs/data/corpus.ipynb#A name for the corpus', full=True),
    Mutation('fingerprint without the part of validation', 'data/corpus', 'dict(frac=cfg.valid_frac, min_docs', 'dict(min_docs', 'nbs/data/corpus.ipynb#A name for the corpus', full=True),
    Mutation('separator stays in the document', 'data/readers', 'yield offset,bytes(buf[:end])', 'yield offset,bytes(buf[:end+len(sep)])', 'nbs/data/readers.ipynb#Text files', full=True),
    Mutation('last document of a file lost', 'data/readers', 'if buf: yield offset,bytes(buf)', 'if False: yield offset,bytes(buf)', 'nbs/data/readers.ipynb#Text files', full=True),
    Mutation('separator across two blocks missed', 'data/readers', 'seen = max(0, len(buf)-len(sep)+1)', 'seen = len(buf)', 'nbs/data/readers.ipynb#Text files', full=True),
    Mutation('last token of the corpus out of reach', 'data/shards', 'end,parts = min(start+n, self.n_tok),[]', 'end,parts = min(start+n, self.n_tok-1),[]', 'nbs/data/shards.ipynb#Tokens'),
    Mutation('epsilon of the optimizer has no effect', 'model/optim', 'eps=cfg.eps)', 'eps=1e-8)', 'nbs/model/optim.ipynb#Optim: what the loop talks to', full=True),
    Mutation('second beta of the optimizer has no effect', 'model/optim', 'betas = (cfg.beta1, cfg.beta2)', 'betas = (cfg.beta1, .95)', 'nbs/model/optim.ipynb#Optim: what the loop talks to', full=True),
    Mutation('decay of everything', 'model/optim', 'scalar_betas or betas, weight_decay=0.', 'scalar_betas or betas, weight_decay=cfg.weight_decay', 'nbs/model/optim.ipynb#Optim: what the loop talks to', full=True),
    Mutation('rate multiplied again at each step', 'model/optim', "g['lr'] = g['base_lr']*mult", "g['lr'] = g['lr']*mult", 'nbs/model/optim.ipynb#Optim: what the loop talks to', full=True),
    Mutation('final rate forgotten', 'model/schedule', 'return p + (1-p)*cfg.final', 'return p', 'nbs/model/schedule.ipynb#The settings', full=True),
    Mutation('cosine of a quarter', 'model/schedule', 'p = (1-math.cos(math.pi*p))/2', 'p = 1-math.cos(math.pi*p/2)', 'nbs/model/schedule.ipynb#Seen', full=True),
    Mutation('top_p without the token that crosses it', 'model/generate', 'p.cumsum(-1)-p < top_p', 'p.cumsum(-1) < top_p', 'nbs/model/generate.ipynb#Choosing a token', full=True),
    Mutation('min_p is not relative', 'model/generate', 'p >= min_p*p[:,:1]', 'p >= min_p', 'nbs/model/generate.ipynb#Choosing a token', full=True),
    Mutation('all rows throw the same dice', 'model/generate', 'manual_seed(seed+r)', 'manual_seed(seed)', 'nbs/model/generate.ipynb#Is it the same?', full=True),
    Mutation('a long prompt loses its end', 'model/generate', 'return [p[-T:] for p in prompts]', 'return [p[:T] for p in prompts]', 'nbs/model/generate.ipynb#What it refuses', full=True),
    Mutation('kernels: a norm lets its own direction through', 'model/kernels', 'return torch.addcmul(g, y, along).mul_(r)', 'return g.mul(r)', 'nbs/model/kernels.ipynb#Norm', full=True),
    Mutation('kernels: gradients turned forward again', 'model/kernels', 'cos, sin, back=True).type_as', 'cos, sin).type_as', 'nbs/model/kernels.ipynb#Turned and normed', full=True),
    Mutation('kernels: half the gradient of a square', 'model/kernels', 'return dx.mul_(2),dup,ddown', 'return dx,dup,ddown', 'nbs/model/kernels.ipynb#The MLP'),
    Mutation('loss: the cap has no slope at the target', 'model/loss', 'slope = 1-hit.square() if cap else torch.ones_like(hit)', 'slope = torch.ones_like(hit)', 'nbs/model/loss.ipynb#A few tokens'),
    Mutation('loss: exponentials of any cap', 'model/loss', 'SAFE_CAP = 40', 'SAFE_CAP = 4000', 'nbs/model/loss.ipynb#A few tokens', full=True),
    Mutation('freed memory goes back within a step', 'train/machine', 'mallopt(M_MMAP_MAX, 0)', 'mallopt(M_MMAP_MAX, 65536)', 'nbs/train/machine.ipynb#The machine'),
    Mutation('the backward pass counted once', 'model/cost', 'FWD_BWD = 3', 'FWD_BWD = 2', 'nbs/model/cost.ipynb#Parameters and FLOPs'),
    Mutation('switches: a gate that never opens wide', 'model/extras', 'self.most*torch.sigmoid', 'torch.sigmoid', 'nbs/model/extras.ipynb#A gate'),
    Mutation('switches: each layer mixes its own values', 'model/extras', 'if side.v is None: side.v = v', 'side.v = v', 'nbs/model/extras.ipynb#Attention', full=True),
    Mutation('switches: no norm behind', 'model/extras', 'return rms_norm(y, self.eps) if self.cfg.post_norm else y', 'return y', 'nbs/model/extras.ipynb#The block', full=True),
    Mutation('switches: a pair across the beginning of a row', 'model/extras', '(HASH[0]*(a.long()+1) ^', '(HASH[0]*a.clamp(min=0) ^', 'nbs/model/extras.ipynb#Both ends', full=True),
    Mutation('switches: the cache forgets the token before', 'model/cache', 'self.ids[rows,at+1] = ids', 'self.ids[rows,at+1] = ids[:,:1]', 'nbs/model/cache.ipynb#Rows of different lengths'),
    Mutation('switches: tables counted as arithmetic', 'model/cost', "('head','attention','mlp','gates')", "('head','attention','mlp','gates','tables')", 'nbs/model/cost.ipynb#Parameters and FLOPs', full=True),
    Mutation('switches: exported as if they were not there', 'export/folder', 'if on := [', 'if on := 0 and [', 'nbs/export/folder.ipynb#The plain form'),
    Mutation('switches: a continuation begins after its neighbour', 'eval/core/score', 'return id_before(ids).where(~self.begins, self.cache.ids.gather(1, lens))', 'return id_before(ids)', 'tests/test_extras.py::test_shared_beginnings', full=True),
    Mutation('switches: lost when a run begins with weights', 'export/bring', '*SWITCHES)  # of the model', ')  # of the model', 'tests/test_extras.py::test_runs', 'RuntimeError', full=True),
    Mutation('a window saves no work', 'model/cost', 'w = min(cfg.window or T, T)', 'w = T', 'nbs/model/cost.ipynb#Parameters and FLOPs', full=True),
    Mutation('mean of the means of micro-batches', 'train/gradients', 'loss = loss_fn(xm, ym)/n_valid', 'loss = loss_fn(xm, ym)/max((ym>=0).sum(), 1)*len(xm)/len(x)', 'nbs/train/gradients.ipynb#Micro-batches, weighed by their tokens'),
    Mutation('bad steps in a row are those of the whole run', 'train/guard', '        self.in_a_row = 0\n        if self.cfg.spike', '        if self.cfg.spike', 'nbs/train/guard.ipynb#A step that must not happen', 'FloatingPointError'),
    Mutation('time left by all steps', 'train/metrics', 'last = list(dts_s)[-RECENT:]', 'last = list(dts_s)', 'nbs/train/metrics.ipynb#When is it done', full=True),
    Mutation('NaN stays in the smoothed loss', 'train/metrics', 'if math.isfinite(x):', 'if True:', 'nbs/train/metrics.ipynb#A loss you can read', full=True),
    Mutation('another optimizer goes on', 'train/identity', "SAME = ('seed', 'loader.', 'optim.', 'guard.spike')", "SAME = ('seed', 'loader.', 'guard.spike')", 'nbs/train/identity.ipynb#What may change'),
    Mutation('a step may come twice in a log', 'store/log', "elif r['step']<=last: raise", "elif r['step']<last: raise", 'nbs/store/log.ipynb#What it refuses', full=True),
    Mutation('numpy goes on from another place', 'store/saver', 'pos=pos)', 'pos=0)', 'nbs/store/saver.ipynb#Generators', full=True),
    Mutation('special tokens are measured', 'eval/bpb', 'losses[size>0].sum()', 'losses.sum()', 'nbs/eval/bpb.ipynb#In batches', full=True),
    Mutation('yardsticks in bytes', 'eval/bpb', '-{LEVEL}\': 8*len(v)/len(raw)', '-{LEVEL}\': len(v)/len(raw)', 'nbs/eval/bpb.ipynb#Yardsticks', full=True),
    Mutation('continuations under the prompt before', 'eval/samples', 'for p,r in zip(cfg.prompts, ids)]', 'for p,r in zip(cfg.prompts[1:]+cfg.prompts[:1], ids)]', 'nbs/eval/samples.ipynb#What a run writes', full=True),
    Mutation('prompts without the token that begins documents', 'eval/samples', '[tok.bos, *tok.encode(p)]', '[*tok.encode(p)]', 'nbs/eval/samples.ipynb#What a run writes', full=True),
    Mutation('core: uncertainty without its root', 'eval/core/verdict', 'return math.sqrt(self.accuracy*(1-self.accuracy)/self.n)', 'return (self.accuracy*(1-self.accuracy)/self.n)', 'nbs/eval/core/verdict.ipynb#A task, and all of them', full=True),
    Mutation('halves of the keys stay', 'export/apertus', 'k_proj=halves_exchanged(b.attn.k.weight, D)', 'k_proj=b.attn.k.weight', 'nbs/export/apertus.ipynb#The same logits', full=True),
    Mutation('norm of the embedding not folded in', 'export/apertus', 'rms_norm(model.embed.weight, cfg.norm_eps)', 'model.embed.weight', 'nbs/export/apertus.ipynb#The same logits', full=True),
    Mutation('xIELU keeps its line', 'export/apertus', 'BETA,EPS = 0.,-1e-6', 'BETA,EPS = .5,-1e-6', 'nbs/export/apertus.ipynb#A square out of xIELU'),
    Mutation('xIELU the other way round', 'export/apertus', 'alpha_p=[POSITIVE], alpha_n=[NEGATIVE]', 'alpha_p=[NEGATIVE], alpha_n=[POSITIVE]', 'nbs/export/apertus.ipynb#The same logits', full=True),
    Mutation('a soft cap left out without a word', 'export/apertus', 'if not uncapped_too: raise', 'if False: raise', 'nbs/export/apertus.ipynb#The soft cap', full=True),
    Mutation('GGUF names another split', 'export/gguf', "PRE = dict(llama3='llama-bpe'", "PRE = dict(llama3='gpt-2'", 'nbs/export/gguf.ipynb#llama.cpp is asked', full=True),
    Mutation('a split that llama.cpp has not goes out', 'export/gguf', 'if pattern in known: return known[pattern]', "if pattern: return known.get(pattern, 'llama-bpe')", 'nbs/export/gguf.ipynb#How text is cut'),
    Mutation('the sooner form leaves out the look ahead', 'data/bpe', "return f'(?:{plain}){ahead}{rest}'", "return f'(?:{plain}){rest}'", 'nbs/data/bpe.ipynb#The same cuts, sooner', full=True),
    Mutation('a split by name with other digits', 'data/bpe', r'r"\p{N}{1,3}"', r'r"\p{N}{1,2}"', 'tests/test_gguf.py::test_same_ids', full=True),
    Mutation('special tokens in a text act', 'export/hf', 'split_special_tokens=True', 'split_special_tokens=False', 'nbs/export/hf.ipynb#The tokenizer', full=True),
    Mutation('last window of a text sees less', 'export/harness', 'first = max(hi-1-self.T, 0)', 'first = lo-1', 'nbs/export/harness.ipynb#How probable is the whole text?'),
    Mutation('a file wins over the command line', 'base/config', 'for s in srcs: d = merge(d, check_table(cls, s.data, partial(found.say, src=s)))', 'for s in srcs[::-1]: d = merge(d, check_table(cls, s.data, partial(found.say, src=s)))', 'nbs/base/config.ipynb#The whole', full=True),
    Mutation('an included file wins', 'base/toml', 'res.insert(0, (json_source', 'res.append((json_source', 'nbs/base/toml.ipynb#A file on top of another', full=True),
    Mutation('a nested section is replaced whole', 'base/toml', 'a | {k: merge(a[k], v) if isinstance(v, dict) and k in a else v for k,v in b.items()}', 'a | b', 'nbs/base/toml.ipynb#Values'),
    Mutation('two of a thing are one', 'base/words', "'s'*(n!=1)", "'s'*(n>2)", 'nbs/base/words.ipynb#Names and numbers'),
    Mutation('rows of a rank are those of the next', 'base/dist', 'return slice(rank*n, (rank+1)*n)', 'return slice((rank+1)%world*n, (rank+1)%world*n+n)', 'nbs/base/dist.ipynb#Which rows are mine'),
    Mutation('check says all is well', 'cli', 'return 0 if report.ok else 1', 'return 0', 'tests/test_strangers.py::test_situation[check_finds_something]'),
    Mutation('an interrupted run says that it is done', 'cli', 'return 0 if run.done else SIGNALLED+run.hold.hit', 'return 0', 'tests/test_resume.py::test_sigterm_saves_and_continues', full=True),
    Mutation('clip of the config has no effect', 'build', 'clip=cfg.optim.clip', 'clip=1.', 'tests/test_keys_act.py::test_key_acts[optim.clip]'),
    Mutation('smoothing of the config has no effect', 'build', 'ema_beta=cfg.metrics.ema_beta', 'ema_beta=.9', 'tests/test_keys_act.py::test_key_acts[metrics.ema_beta]', full=True),
    Mutation('core: span off by one', 'eval/core/tasks', 'return [(n,len(o)) for o in ids]', 'return [(n+1,len(o)) for o in ids]', 'nbs/eval/core/tasks.ipynb#Which tokens are scored', full=True),
    Mutation('core: no bos', 'eval/core/tasks', 'np.concatenate(([tok.bos], encode(p)))', 'np.asarray(encode(p))', 'nbs/eval/core/tasks.ipynb#Which tokens are scored', full=True),
    Mutation('core: an example among its own shots', 'eval/core/tasks', '[j+(j>=i) for j in drawn]', 'list(drawn)', 'nbs/eval/core/tasks.ipynb#Examples before the question'),
    Mutation('core: shots in another order', 'eval/core/tasks', '[j+(j>=i) for j in drawn]', 'sorted(j+(j>=i) for j in drawn)', 'nbs/eval/core/tasks.ipynb#Examples before the question', full=True),
    Mutation('core: ending looked for at the front', 'eval/core/tasks', 'common([o[::-1] for o in ids])', 'common(ids)', 'nbs/eval/core/tasks.ipynb#Which tokens are scored', full=True),
    Mutation('core: the end is cropped', 'eval/core/tasks', 'Option(o[cut:], start-cut', 'Option(o[:len(o)-cut], start-cut', 'nbs/eval/core/tasks.ipynb#The limit', full=True),
    Mutation('core: spans move one too far in a crop', 'eval/core/tasks', 'start-cut, end-cut, cut)', 'start-cut-(cut>0), end-cut-(cut>0), cut)', 'nbs/eval/core/tasks.ipynb#The limit', full=True),
    Mutation('core: a NaN never wins', 'eval/core/verdict', 'key=losses.__getitem__)', 'key=lambda k: (math.isnan(losses[k]), losses[k]))', 'nbs/eval/core/verdict.ipynb#Decisions'),
    Mutation('core: loss of the token itself', 'data/shift', 'rows[..., 1:].contiguous()', 'rows[..., :-1].contiguous()', 'nbs/eval/core/score.ipynb#Reading only what is needed', full=True),
    Mutation('core: loss of the token after the next', 'data/shift', 'rows[..., 1:].contiguous()', "__import__('torch').nn.functional.pad(rows[..., 2:], (0,1), value=-1)", 'nbs/eval/core/score.ipynb#Reading only what is needed', full=True),
    Mutation('core: targets of the span itself', 'eval/core/score', 'targets[lo:mid]', 'inputs[lo:mid]', 'nbs/eval/core/score.ipynb#Reading only what is needed', full=True),
    Mutation('core: padding of the cache is seen', 'eval/core/score', 'torch.where(old<lens, old, self.end)', 'old.expand(len(sizes), -1)', 'nbs/eval/core/score.ipynb#Side by side', full=True),
    Mutation('core: no blank line between examples', 'eval/core/tasks', "+'\\n\\n' for j in shots_of", "+'\\n' for j in shots_of", 'tests/test_evaluation.py::test_experiment[oracle]', full=True),
    Mutation('core: every rank takes every example', 'eval/core/evaluate', 'range(rank, len(task), world)', 'range(len(task))', 'tests/test_evaluation.py::test_experiment[ranks]', full=True),
    Mutation('core: not divided in centring', 'eval/core/verdict', 'return (accuracy-b)/(1-b)', 'return accuracy-b', 'nbs/eval/core/verdict.ipynb#Why centred', full=True),
    Mutation('core: last of equal options', 'eval/core/verdict', 'return min(range(len(losses)), key', 'return min(reversed(range(len(losses))), key', 'nbs/eval/core/verdict.ipynb#Decisions', full=True),
    Mutation('core: padding stays in the cache', 'eval/core/score', 'cache.lens = [len(s) for s,_ in stems]', 'pass', 'nbs/eval/core/score.ipynb#Put together', full=True),
    Mutation('core: padding before the text', 'eval/core/score', 'ids[b,:len(r)] = r.ids', 'ids[b,-len(r):] = r.ids', 'nbs/eval/core/score.ipynb#Batches', full=True),
    Mutation('core: options see each other', 'eval/core/score', 'cache.window) & mine', 'cache.window)', 'nbs/eval/core/score.ipynb#Side by side', full=True),
    Mutation('core: last block sees what follows', 'model/blocks', 'see = may_see(at, torch.arange(k.shape[2]', 'see = ~may_see(at-1, torch.arange(k.shape[2]', 'nbs/eval/core/score.ipynb#The scorer', full=True),
    Mutation('white space of a value stripped', 'base/value', 'return unescape(raw)', 'return unescape(raw.strip())', 'nbs/base/value.ipynb#Through a shell', full=True),
    Mutation('escapes of a shell left as they are', 'base/value', 'return unescape(raw)', 'return raw', 'nbs/base/value.ipynb#Through a shell', full=True),
    Mutation('the home directory left as ~', 'base/value', "if self.kind=='path':", "if False:", 'nbs/base/value.ipynb#A leaf'),
    Mutation('a folder hides a shipped config', 'store/shipped', 'if p.is_dir() and is_run(p)', 'if p.is_dir()', 'nbs/store/shipped.ipynb#Files by name', full=True),
    Mutation('a moved run goes on where it was', 'build', 'base = run_keys(path)', 'base = {}', 'nbs/build.ipynb#Files by name', full=True),
    Mutation('a value behind an option refused', 'base/args', 'self.parse_known_intermixed_args(words, a)', 'self.parse_known_args(words, a)', 'nbs/base/args.ipynb#A command', 'ValueError'),
    Mutation('an option without effect taken', 'cli', 'if getattr(a, n) is not None: raise', 'if False: raise', 'nbs/cli.ipynb#Eval'),
    Mutation('a reader that leaves ends the run', 'base/screen', 'except BrokenPipeError: let_go(out)', 'except BrokenPipeError: raise', 'nbs/base/screen.ipynb#Nobody there', 'BrokenPipeError'),
    Mutation('a tracker is told again what it has', 'train/track/follow', "flat.frombytes(raw[:len(raw)//ROW*ROW])", 'flat.frombytes(raw[:0])', 'nbs/train/track/follow.ipynb#What was sent'),
    Mutation('rows doubled after a crash', 'train/track/follow', 'if step>self.has: self.send(r)', 'self.send(r)', 'nbs/train/track/follow.ipynb#One sink, one log', full=True),
    Mutation('rows that a tracker lost stay lost', 'train/track/follow', 'if has is not None: sent.cut(has+1)', 'pass', 'nbs/train/track/follow.ipynb#One sink, one log', full=True),
    Mutation('steps taken back stay in a tracker', 'train/track/follow', "first = self.tell('back', step)", 'first = step', 'nbs/train/track/follow.ipynb#One sink, one log', full=True),
    Mutation('a log that was cut goes unnoticed', 'train/track/follow', 'return f.read(len(self.last))==self.last', 'return True', 'nbs/train/track/follow.ipynb#Lines of a file that grows', full=True),
    Mutation('what a crash left in TensorBoard stays', 'train/track/sinks', 'if not self.clean: self.back(step)', 'pass', 'nbs/train/track/sinks.ipynb#TensorBoard'),
    Mutation('a sink in the process that trains', 'train/track/keeper', 'import ctypes, json, os, signal, subprocess, sys, time', 'import ctypes, json, os, signal, subprocess, sys, time, wandb', 'nbs/train/track/beside.ipynb#The loop\'s side', full=True),
    Mutation('a worker outlives the run', 'train/track/keeper', '        if not w.gone: kill(w.p.pid)\n    clear()\n', '', 'nbs/train/track/keeper.ipynb#All of them', full=True),
    Mutation('processes of a sink are left behind', 'train/track/keeper', 'prctl(ADOPT, 1)\n    ended', 'ended', 'nbs/train/track/keeper.ipynb#All of them', full=True),
    Mutation('workers outlive who looks after them', 'train/track/keeper', 'prctl(DIE_WITH_PARENT, signal.SIGKILL)', 'pass', 'nbs/train/track/keeper.ipynb#All of them', full=True),
    Mutation('a character ends the run', 'train/console', '(tell if say in (print, True) else say) if', 'say if', 'nbs/train/console.ipynb#Console', 'UnicodeEncodeError', full=True),
    Mutation('a transfer that broke begins anew', 'data/remote', 'self.inner,_ = open_at(self.file.url, self.at)', 'self.inner,_ = open_at(self.file.url, 0)', 'nbs/data/remote.ipynb#A network on a bad day', 'RemoteError'),
    Mutation('a body that is too short is taken', 'data/remote', 'self.ends is None or self.at>=self.ends: break', 'True: break', 'nbs/data/remote.ipynb#A network on a bad day', full=True),
    Mutation('an object that changed at its end is taken', 'data/remote', 'if differ(self.file.stamp, now): raise', 'if False: raise', 'nbs/data/remote.ipynb#A network on a bad day', full=True),
    Mutation('a gathered unit is not counted', 'train/room', 'return parts.root+k*(kept(blocks[:i+1])+work)', 'return parts.root+0*k*work', 'tests/test_room.py::test_memory_and_messages_of_real_ranks', full=True),
    Mutation('gradients of DDP are not counted', 'train/room', "return parts.whole if mode=='ddp' or", "return 0 if mode=='ddp' or", 'nbs/train/room.ipynb#The room of a rank', full=True),
    Mutation('a storage counts for ever', 'train/room', 'self.live -= n', 'self.live -= 0', 'nbs/train/room.ipynb#A meter'),
    Mutation('every unit is gathered once', 'train/room', 'again = sum(n*(1+a) for b in parts.blocks for n,a in b)', 'again = sum(n for b in parts.blocks for n,a in b)', 'nbs/train/room.ipynb#Over the wire', full=True),
    Mutation('a message between machines at the speed of one', 'train/scale', '(d.link if N<=d.box else min(d.link, d.box*d.net))', 'd.link', 'nbs/train/scale.ipynb#A message'),
    Mutation('the beginning of a stop is shown', 'eval/completions', 'keep = 0 if t.end else may_begin(text, stops)', 'keep = 0', 'nbs/eval/completions.ipynb#Text that ends an answer', full=True),
    Mutation('odds of the token before', 'eval/completions', 'known = [(), *(o for', 'known = [*(o for', 'nbs/eval/completions.ipynb#Written, with what else was likely', full=True),
    Mutation('every text of an answer with the same dice', 'eval/completions', "seed=ask.how['seed']+r)", "seed=ask.how['seed'])", 'nbs/eval/completions.ipynb#The answer', full=True),
    Mutation('half a character forgotten', 'eval/samples', 'd.decode(decode_bytes(list(before)))', 'pass', 'nbs/eval/completions.ipynb#What a token adds to the text'),
    Mutation('a limit that is none', 'eval/completions', 'if most*rows>TOKENS:', 'if most>TOKENS:', 'nbs/eval/completions.ipynb#What may be asked', full=True),
    Mutation('a run stands beside itself', 'eval/inside', "else m._view(text, whose", "else self._view(text, whose", 'nbs/eval/inside.ipynb#At any checkpoint', full=True),
    Mutation('a character that turns the text', 'eval/surprise', ' or unicodedata.bidirectional(c) in TURNS', '', 'nbs/eval/surprise.ipynb#Colours', full=True),
    Mutation('a page may run what it likes', 'base/serve', "if html: more = dict(Content_Security_Policy=policy(what))|more", "if html: more = more", 'nbs/base/serve.ipynb#A client', full=True),
    Mutation('a foreign lens without the last norm', 'export/hf', 'return (h, *args[1:]) if len(calls)==n else args', 'return args', 'nbs/export/hf.ipynb#Opened', full=True),
    Mutation('a foreign model keeps another attention', 'export/hf', '        model.set_attn_implementation(was)', '        pass', 'nbs/export/hf.ipynb#Opened', full=True),
    Mutation('any name for this server', 'base/serve', 'if named[0].strip().lower() not in hosts:', 'if False:', 'nbs/base/serve.ipynb#Whom to answer'),
    Mutation('any page may ask', 'base/serve', 'if origin and (len(origin)>1 or', 'if origin and (len(origin)>1 and', 'nbs/base/serve.ipynb#Whom to answer', full=True),
    Mutation('the beginning of a token is enough', 'base/serve', 'compare_digest(bearer.encode(), token.encode())', 'compare_digest(bearer.encode(), token.encode()[:len(bearer.encode())])', 'nbs/base/serve.ipynb#Whom to answer', full=True),
    Mutation('a body of any size', 'base/serve', 'if int(found[0])>BODY:', 'if False:', 'nbs/base/serve.ipynb#What it says', full=True),
    Mutation('it listens everywhere', 'base/serve', "LOOPBACK,CONNECTIONS,FULL_S = '127.0.0.1',256", "LOOPBACK,CONNECTIONS,FULL_S = '0.0.0.0',256", 'nbs/base/serve.ipynb#The server', full=True),
    Mutation('who leaves is answered on', 'base/serve', 'return bool(self.connection.recv(1, socket.MSG_PEEK))', 'return True', 'tests/test_play.py::test_who_leaves_is_not_answered', full=True),
    Mutation('a slow client holds the model', 'base/serve', 'self.patience -= time.monotonic()-start', 'pass', 'tests/test_play.py::test_who_hardly_reads_is_left', full=True),
    Mutation('devices that do not divide the rows', 'planning', 'if rows%gpus:', 'if False:', 'nbs/planning.ipynb#For a number of devices'),
    Mutation('what does not fit is advised', 'planning', 'return w.room.peak<=USABLE*1e9*self.device.memory_gb', 'return True', 'nbs/planning.ipynb#For a number of devices', full=True),
    Mutation('objects in the order of the store', 'data/remote', 'for url in sorted(files)]', 'for url in files]', 'nbs/data/remote.ipynb#Finding objects', full=True),
    Mutation('a store that says nothing is believed', 'data/stores', 'strong or date is not None and when_s-_seconds(date[1])>REST_S', 'True', 'nbs/data/stores.ipynb#What a store says of an object', full=True),
    Mutation('hidden objects are read', 'data/remote', "if not pattern: return not any(o.startswith('.') for o in parts)", 'if not pattern: return True', 'nbs/data/remote.ipynb#Finding objects', full=True),
    Mutation('a password is shown', 'base/url', 'USER.sub(_user, text)', 'text', 'nbs/base/url.ipynb#What nobody may see'),
    Mutation('a hash is remembered though nothing tells', 'data/prepare', 'if tells: self.known', 'if True: self.known', 'tests/test_remote.py::test_a_hash_is_remembered_while_the_store_tells', full=True),
]

def source(c): return c['source'] if isinstance(c['source'], str) else ''.join(c['source'])
def exported(c): return c['cell_type']=='code' and bool(re.search(r'^#\|\s*exports?\b', source(c), re.M))

def swap(s, m, where):
    "Replace once; anything but exactly one match means that the mutation no longer fits the code"
    if s.count(m.old)!=1: raise ValueError(f'{m.name}: {m.old!r} occurs {s.count(m.old)} times in {where}; it must occur once')
    return s.replace(m.old, m.new)

def planted(m, root):
    "The notebook under `root` with `m` in it"
    d = json.loads((root/f'nbs/{m.nb}.ipynb').read_text(encoding='utf-8'))
    hit = [c for c in d['cells'] if exported(c) and m.old in source(c)]
    if len(hit)!=1: raise ValueError(f'{m.name}: {m.old!r} is in {len(hit)} exported cells of {m.nb}; it must be in one')
    hit[0]['source'] = swap(source(hit[0]), m, m.nb)
    return d

def plant(m, root):
    "Apply `m` to the notebook and the module under `root`"
    nb,d = root/f'nbs/{m.nb}.ipynb',planted(m, root)
    nb.write_text(json.dumps(d), encoding='utf-8')
    mod = next(re.search(r'default_exp\s+(\S+)', source(c))[1] for c in d['cells'] if 'default_exp' in source(c))
    py = root/f"pretrain/{mod.replace('.', '/')}.py"
    py.write_text(swap(py.read_text(encoding='utf-8'), m, py.name), encoding='utf-8')

def copy(dst):
    "What the tests need, compiled where it has been, without git and outputs of builds"
    junk = shutil.ignore_patterns('.ipynb_checkpoints', '*.pyc.*')   # the latter another process is writing
    for d in ('nbs', 'pretrain', 'tests', 'configs', '.ci'): shutil.copytree(ROOT/d, dst/d, ignore=junk)
    for f in ('settings.ini', 'pyproject.toml', 'setup.py', 'README.md'): shutil.copy(ROOT/f, dst)
    return dst

def failing_line(e, src):
    "The line of the cell in which it failed"
    tb = e.__traceback__
    while tb and 'ipython-input' not in tb.tb_frame.f_code.co_filename and 'ipykernel' not in tb.tb_frame.f_code.co_filename: tb = tb.tb_next
    n = tb.tb_lineno-1 if tb else 0
    return (src.splitlines()+[''])[min(n, len(src.splitlines()))].strip()[:120]

def run_notebook(nb, root):
    "In a process of its own: run `nb` to its first failing cell; what failed, or None"
    os.chdir(nb.parent)
    for k in [k for k in sys.modules if k.partition('.')[0]=='pretrain']: del sys.modules[k]   # of who forked us
    sys.path.insert(0, str(root))
    os.environ['IN_TEST'] = '1'
    from execnb.shell import CaptureShell
    from IPython.core import pylabtools
    from nbdev.config import get_config
    pylabtools.retina_figure = lambda fig, **_: None   # nobody looks at figures here
    skip = re.compile(rf"^\s*#\|\s*(?:(?:{'|'.join(get_config().tst_flags.split())})\b|eval:\s*false)", re.M)
    k,head = CaptureShell(str(nb.parent)),''
    for c in json.loads(nb.read_text(encoding='utf-8'))['cells']:
        s = source(c)
        if c['cell_type']=='markdown': head = ([head]+re.findall(r'^#{1,6}\s+(.+?)\s*$', s, re.M))[-1]
        if c['cell_type']!='code' or 'nbdev_export(' in s or skip.search(s): continue
        k.run(s)
        if k.exc: return dict(head=head, error=type(k.exc).__name__, text=failing_line(k.exc, s))
    import pretrain
    assert Path(pretrain.__file__).resolve().is_relative_to(root.resolve()), 'the copy was not used'

# Notebooks run in processes that are forked from one that has torch already: two seconds less for each
os.environ.setdefault('OMP_NUM_THREADS', '1')
FORKS = multiprocessing.get_context('forkserver')
FORKS.set_forkserver_preload(['torch', 'numpy', 'execnb.shell', 'matplotlib.pyplot', 'nbdev.showdoc', 'tiktoken',
                             'pydantic.dataclasses', 'safetensors.torch'])

def _child(pipe, nb, root, env):
    os.environ.clear()
    os.environ.update(env)
    quiet = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2): os.dup2(quiet, fd)
    try: pipe.send(run_notebook(nb, root))
    except BaseException as e: pipe.send(RuntimeError(f'{type(e).__name__}: {e}'))

def notebook_failure(nb, root, env):
    "What `run_notebook` finds, from a fork"
    mine,other = multiprocessing.Pipe(False)
    p = FORKS.Process(target=_child, args=(other, nb, root, env))
    p.start()
    other.close()
    try: r = mine.recv()
    except EOFError: r = RuntimeError(f'{nb.name}: the process ended without an answer')
    p.join()
    if isinstance(r, RuntimeError): raise r
    return r

def failure(m, root):
    "How the named test fails under `root`: (test, error, text), or None if it passes"
    env = {k:v for k,v in os.environ.items() if k!='IN_TEST' and not k.startswith('PYTEST')} | dict(PYTHONPATH=str(root), OMP_NUM_THREADS='1', MPLBACKEND='agg')
    nb,_,head = m.shown_by.partition('#')
    if nb.endswith('.ipynb'):
        r = notebook_failure(root/nb, root, env)
        return r and (f"{nb}#{r['head']}", r['error'], r['text'])
    p = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', m.shown_by], cwd=root, env=env, capture_output=True, text=True)
    if p.returncode==0: return None
    if p.returncode!=1: raise RuntimeError(p.stdout[-2000:]+p.stderr[-2000:])
    err = re.search(r'^E\s+(\w+(?:Error|Exception|Exit)?)\b', p.stdout, re.M)
    failed = re.search(r'^FAILED (\S+)', p.stdout, re.M)
    kind = 'AssertionError' if re.search(r'^E\s+(?:assert|AssertionError)\b', p.stdout, re.M) else err[1] if err else '?'
    return failed[1].partition('[')[0] if failed else '?', kind, ''

def try_mutation(m):
    "Plant `m` in a fresh copy and run its test: (caught by the named test, what was seen)"
    with tempfile.TemporaryDirectory(prefix='mutation-') as tmp:
        root = copy(Path(tmp)/'copy')
        plant(m, root)
        got = failure(m, root)
    if got is None: return False, f'{m.shown_by} passes'
    want = m.shown_by.partition('[')[0]
    return got[0]==want and got[1]==m.error, f"{got[0]}: {got[1]}{' in ' if got[2] else ''}{got[2]}"

def main(names):
    full,names = '--full' in names,[n for n in names if n!='--full']
    ms = [m for m in MUTATIONS if m.name in names or not names and (full or not m.full)]
    t0 = time.time()
    print('| mutation | failing test | caught |\n|--|----|--|')
    bad = 0
    with ThreadPoolExecutor(os.cpu_count()) as ex:
        for m,(ok,seen) in zip(ms, ex.map(try_mutation, ms)):
            bad += not ok
            print(f"| {m.name} | {seen} | {'yes' if ok else 'NO: expected '+m.shown_by} |", flush=True)
    print(f'\n{len(ms)-bad} of {len(ms)} caught, {time.time()-t0:.0f} s')
    return int(bad>0)

if __name__=='__main__': sys.exit(main(sys.argv[1:]))
