"""A device that this machine does not have: its tensors say that they are on `meta`, and are computed on the CPU. As on
Apple's GPUs, float64 is refused there, and so is an operation on tensors of both devices."""
from contextlib import contextmanager
from unittest.mock import patch
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map, tree_leaves

FAR = torch.device('meta')
WIDE = torch.float64, torch.complex128
COPIES = ('aten.copy_.default', 'aten._copy_from.default')   # from one device to the other

class There(torch.Tensor):
    "A tensor over there"
    @staticmethod
    def __new__(cls, t, requires_grad=False):
        if t.dtype in WIDE:
            raise TypeError(f"Cannot convert a tensor to {t.dtype}: float64 isn't supported there")
        r = torch.Tensor._make_wrapper_subclass(cls, t.shape, strides=t.stride(), storage_offset=t.storage_offset(),
                                                dtype=t.dtype, device=FAR, requires_grad=requires_grad)
        r.here = t
        return r
    def __init__(self, t, requires_grad=False): pass
    def __repr__(self): return f'There({self.here})'
    def tolist(self): return self.here.tolist()
    def __getitem__(self, i): return super().__getitem__(indices(i))
    def __setitem__(self, i, x): super().__setitem__(indices(i), x)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None): return compute(func, args, kwargs or {})

def indices(i):
    "Lists as tensors, which torch would make where nobody sees it"
    if isinstance(i, tuple): return tuple(map(indices, i))
    return torch.tensor(i) if isinstance(i, list) else i

def here(x): return x.here if isinstance(x, There) else x
def there(x): return There(x) if isinstance(x, torch.Tensor) and not isinstance(x, There) else x

def compute(func, args, kwargs):
    "On the CPU, with the rules of over there"
    leaves = tree_leaves((args, kwargs))
    tensors = [t for t in leaves if isinstance(t, torch.Tensor)]
    device = kwargs.get('device')
    far = torch.device(device).type==FAR.type if device is not None else any(isinstance(t, There) for t in tensors)
    stray = [t for t in tensors if not isinstance(t, There) and t.dim()]
    if str(func) in COPIES: far = isinstance(args[0], There)
    elif far and stray and device is None and not str(func).startswith('aten.index'):   # these take indices of the CPU
        raise RuntimeError(f'{func}: a tensor {tuple(stray[0].shape)} on the CPU among those far away')
    if device is not None and far: kwargs = kwargs | dict(device='cpu')
    if kwargs.get('pin_memory'): kwargs = kwargs | dict(pin_memory=False)
    if far and kwargs.get('dtype') in WIDE: There(torch.empty(0, dtype=kwargs['dtype']))
    out = func(*tree_map(here, args), **tree_map(here, kwargs))
    if not far: return out
    changed = {id(here(t)): t for t in tensors}   # what is written in place stays the same object
    return tree_map(lambda t: changed.get(id(t)) if id(t) in changed else there(t), out)

class Pretend(TorchDispatchMode):
    "Inside, what is made over there is made here"
    def __torch_dispatch__(self, func, types, args=(), kwargs=None): return compute(func, args, kwargs or {})

class Plain:
    "In place of `inference_mode`, which pretended tensors cannot follow"
    def enter(mode):
        mode.plain = torch.no_grad()
        mode.plain.__enter__()
    def leave(mode, *e): mode.plain.__exit__(*e)

@contextmanager
def pretend_far():
    "Inside, there is such a device, which knows no autocast"
    asked,made = torch.is_autocast_enabled,torch.tensor
    def autocast(device='cuda'): return device!=FAR.type and asked(device)
    def tensor(data, device=None, **kw): return made(data, device='cpu', **kw).to(device or 'cpu')
    plain = patch.multiple(torch.inference_mode, __enter__=Plain.enter, __exit__=Plain.leave)
    fused = patch('torch.optim.optimizer._get_fused_kernels_supported_devices', lambda: ['cpu', FAR.type])
    with Pretend(), plain, fused, patch('torch.is_autocast_enabled', autocast), patch('torch.tensor', tensor): yield FAR
