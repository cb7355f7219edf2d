"""Times attention forward and backward, torch's scaled_dot_product_attention, eager and compiled, in f32 and fp16, without dropout
and mask. Prints JSON, for verdict.py.

usage: torch_attention.py BATCH HEADS LENGTH HEAD_DIM [--device cuda|cpu]"""

import argparse
import json

import torch

from torch_timing import median_ms

attend = torch.nn.functional.scaled_dot_product_attention


def measure(shape, device, modes=("eager", "compile")):
    torch.set_float32_matmul_precision("highest")
    runs = []
    for precision, dtype in [("f32", torch.float32), ("f16", torch.float16)]:
        q, k, v, dy = (torch.randn(shape, device=device, dtype=dtype) for _ in range(4))
        for tensor in (q, k, v):
            tensor.requires_grad_()
        for mode in modes:
            forward = attend if mode == "eager" else torch.compile(lambda q, k, v: attend(q, k, v))
            ms = median_ms(lambda: torch.autograd.grad(forward(q, k, v), (q, k, v), dy), device)
            runs.append({"precision": precision, "mode": mode, "ms": ms})
    return {"versions": f"torch {torch.__version__} on {device}", "shape": shape, "runs": runs}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", nargs=4, type=int)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    args = parser.parse_args()
    print(json.dumps(measure(args.shape, args.device)))
