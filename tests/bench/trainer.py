"""The Trainer of transformers on prepared tokens, as peers.py runs it: a Llama of the same depth and width, AdamW with
a cosine; a line for each step with its time

    python tests/bench/trainer.py --data WORK/shared --out OUT --steps 100 --depth 4 --tokens 2048 --lr 1e-3"""
import argparse, time
from pathlib import Path
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

T,VOCAB = 256,8192   # Of a row, of the vocabulary [tokens]

class Blocks(torch.utils.data.Dataset):
    "Blocks of T tokens, as run_clm.py cuts them"
    def __init__(self, path): self.ids = np.fromfile(path, np.uint16)
    def __len__(self): return len(self.ids)//T
    def __getitem__(self, i):
        row = torch.from_numpy(self.ids[i*T:(i+1)*T].astype(np.int64))
        return dict(input_ids=row, labels=row)

class Told(TrainerCallback):
    def on_step_begin(self, args, state, control, **_): self.at = time.perf_counter()
    def on_step_end(self, args, state, control, **_):
        print(f'step {state.global_step} took {time.perf_counter()-self.at:.5f} s', flush=True)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', type=Path, required=True)
    p.add_argument('--out', required=True)
    for k,t in (('steps', int), ('depth', int), ('tokens', int), ('lr', float)): p.add_argument(f'--{k}', type=t)
    a = p.parse_args()
    torch.manual_seed(1)
    width = 64*a.depth
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, hidden_size=width, intermediate_size=8*width//3//32*32,
                                         num_hidden_layers=a.depth, num_attention_heads=max(width//128, 1),
                                         max_position_embeddings=T, bos_token_id=0, eos_token_id=0))
    how = TrainingArguments(a.out, max_steps=a.steps, per_device_train_batch_size=a.tokens//T, learning_rate=a.lr,
                            lr_scheduler_type='cosine', warmup_steps=a.steps//20, weight_decay=.1, adam_beta2=.99,
                            logging_strategy='no', save_strategy='no', report_to=[], use_cpu=True, disable_tqdm=True,
                            dataloader_num_workers=0, seed=1)
    Trainer(model, how, train_dataset=Blocks(a.data/'train.bin'), callbacks=[Told()]).train()
    model.save_pretrained(a.out)

if __name__=='__main__': main()
