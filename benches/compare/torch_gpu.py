"""What gpu.sh compares Cloze with, in one process: torch.matmul, attention and BERT's training step. Each figure is written to
FOLDER as soon as it is there, so that what was measured stays when time runs out.

usage: torch_gpu.py FOLDER [--device cuda|cpu] [--side N] [--batch N] [--heads N] [--config NAME] [--lengths N …] [--steps N]"""

import argparse
import json
import pathlib

import torch

import torch_attention
import torch_matmul
import torch_mlm
from compare import SHAPES

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
parser.add_argument("--side", type=int, default=4096)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--heads", type=int, default=12)
parser.add_argument("--config", default="base", choices=SHAPES)
parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512])
parser.add_argument("--steps", type=int, default=20)
args = parser.parse_args()

# Names as they are in compare.py.
STEPS = [("torch-eager-sparse", "f32", False), ("torch-compile-sparse-fp16", "fp16", True)]


def write(name, content):
    part = args.folder / f"{name}.part"
    part.write_text(json.dumps(content))
    part.rename(args.folder / f"{name}.json")


write("torch-products", torch_matmul.measure(args.side, args.device, ["f32", "f16"]))
for length in args.lengths:
    write(f"torch-attention-{length}", torch_attention.measure([args.batch, args.heads, length, 64], args.device, ["eager"]))
for name, dtype, compiled in STEPS:
    for length in args.lengths:
        shape = [*SHAPES[args.config][:5], args.batch, length]
        report = torch_mlm.measure(shape, args.steps, args.device, dtype, compiled, sparse=True)
        write(f"torch-step-{length}-{name}", report)
        torch._dynamo.reset()
