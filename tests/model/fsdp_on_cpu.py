"""Run a script as `accelerate launch --use_fsdp` would on GPUs, but on CPU processes: see test_fsdp.py.

Accelerate shards on GPUs only. Here it is told that each process has one, and that it is called "cpu". All else, from
its wrapping of the layers to PyTorch's sharding over gloo, is what a machine with GPUs runs. Each process prints which
part of the model's layers it holds.
"""

import runpy
import sys

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor

from helpers import finetune

torch.set_num_threads(1)
torch.distributed.init_process_group("gloo")
PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)
PartialState.set_device = lambda state: setattr(state, "device", torch.device("cpu"))

parts = []


def check(run, of=finetune._Run._check_weights):
    layers = list(run.model.gpt_neox.layers.parameters())
    held = sum(weight.to_local().numel() for weight in layers if isinstance(weight, DTensor))
    parts.append(held / sum(weight.numel() for weight in layers))
    of(run)


finetune._Run._check_weights = check
runpy.run_path(sys.argv[1], run_name="__main__")
print(f"held {min(parts):.3f} to {max(parts):.3f}")
torch.distributed.destroy_process_group()
