"""Pretrain a GPT from raw text: the names that a script or a notebook needs

    from pretrain import Run
    run = Run('quickstart', out='runs/mine', **{'train.steps': 50})
    run.fit()

A module is loaded when the first of its names is asked for, so `import pretrain` takes no time."""
from importlib import import_module as _import_module

__version__ = "0.1.0"

_HOME = dict(   # name to the module that it comes from
    # runs
    Run='build',                       # a training run that lives in its directory: step it, fit it, let it write
    Config='build',                    # every setting of a run
    load_config='build',               # a config from a file, or from the name of a shipped one, and changes to it
    load_model='build',                # model, tokenizer, config and step of a run directory
    # text to batches
    look='eval.look',                  # what a corpus is, what is in it twice or broken, what it costs in tokens
    CorpusConfig='data.corpus',        # which files, how split
    Tokenizer='data.tokenizer',        # text to ids and back, exactly
    TokenizerConfig='data.tokenizer',  # its size and how it cuts
    train_tokenizer='data.tokenizer',  # a tokenizer learned from documents
    PrepareConfig='data.prepare',      # where prepared tokens lie
    prepare='data.prepare',            # documents to token shards on the disk
    save_corpus='data.given',          # texts from Python, a generator or a dataset of `datasets` as a file to train on
    Tokens='data.shards',              # documents as token ids: `from_docs` in memory, `open` on the disk
    Loader='data.loader',              # token shards to batches; a pure function of seed and step
    LoaderConfig='data.loader',        # the size of a batch
    # what learns
    GPT='model.generate',              # the model; with `generate`, which that module gives it
    ModelConfig='model.blocks',        # its shape
    OptimConfig='model.optim',         # which optimizer, at which rates
    # how one knows
    bits_per_byte='eval.bpb',          # of a loss on prepared tokens
    bits_per_text='eval.bpb',          # of a model on texts, whatever its tokenizer
    evaluate_core='eval.core.evaluate',  # the CORE metric of a model
    preflight='eval.preflight',        # looks for silent bugs before training
    plan='planning',                   # what a time is worth here: every size with its tokens and bits per byte
    train_seeds='seeds',               # the same run with several seeds: mean, spread, curves
    compare='eval.versus',             # is one setting better than another, and by how much?
    surprise='eval.surprise',          # a text coloured by how little a model, or two, expected each token
    read_metrics='store.log',          # the records of a run, step by step
    # doors
    export_run='doors',                # a run's model as a folder that other libraries read
    import_run='doors',                # such a folder as the beginning of a run
    load_hf='export.hf',               # a model and tokenizer of the transformers library, asked like ours
    harness_lm='export.harness',       # a model as lm-evaluation-harness takes it
)
__all__ = list(_HOME)

def __getattr__(name):
    "Load what is asked for, once"
    if name not in _HOME: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(_import_module(f'{__name__}.{_HOME[name]}'), name)
    _import_module(f'{__name__}.base.help').explain(value)   # units and meanings, for help() and `?`
    globals()[name] = value
    return value

def __dir__(): return sorted({*globals(), *__all__})
