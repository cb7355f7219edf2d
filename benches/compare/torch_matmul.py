"""Times torch.matmul of square matrices in f32, TF32, bf16 and fp16, and as Cloze's three products have them: a·bᵀ (nt), a·b (nn)
and aᵀ·b (tn). Prints JSON, for verdict.py.

usage: torch_matmul.py SIDE [--device cuda|cpu]"""

import argparse
import json

import torch

from torch_timing import median_ms

KINDS = {"f32": (torch.float32, "highest"), "tf32": (torch.float32, "high"), "bf16": (torch.bfloat16, "highest"),
         "f16": (torch.float16, "highest")}


def measure(side, device, kinds=KINDS):
    products = []
    for name in kinds:
        dtype, precision = KINDS[name]
        torch.set_float32_matmul_precision(precision)
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        for layout, run in [("nt", lambda: a @ b.T), ("nn", lambda: a @ b), ("tn", lambda: a.T @ b)]:
            ms = median_ms(run, device)
            products.append({"precision": name, "layout": layout, "ms": ms, "gflops": 2 * side**3 / ms / 1e6})
    return {"versions": f"torch {torch.__version__} on {device}", "side": side, "products": products}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", type=int)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    args = parser.parse_args()
    print(json.dumps(measure(args.side, args.device)))
