"""Times attention forward and backward, torch's scaled_dot_product_attention, eager and compiled, in f32 and fp16, without dropout
and mask. Prints JSON, for verdict.py.

usage: torch_attention.py BATCH HEADS LENGTH HEAD_DIM [--device cuda|cpu]"""

import argparse
import json

import torch

from torch_timing import median_ms

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("shape", nargs=4, type=int)
parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
args = parser.parse_args()

torch.set_float32_matmul_precision("highest")
attend = torch.nn.functional.scaled_dot_product_attention
runs = []
for precision, dtype in [("f32", torch.float32), ("f16", torch.float16)]:
    q, k, v, dy = (torch.randn(args.shape, device=args.device, dtype=dtype) for _ in range(4))
    for tensor in (q, k, v):
        tensor.requires_grad_()
    for mode, forward in [("eager", attend), ("compile", torch.compile(lambda q, k, v: attend(q, k, v)))]:
        ms = median_ms(lambda: torch.autograd.grad(forward(q, k, v), (q, k, v), dy), args.device)
        runs.append({"precision": precision, "mode": mode, "ms": ms})
print(json.dumps({"versions": f"torch {torch.__version__} on {args.device}", "shape": args.shape, "runs": runs}))
