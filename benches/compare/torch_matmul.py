"""Times torch.matmul of square matrices on a CUDA device: TFLOP/s in f32, TF32, bf16 and fp16, for gpu.sh.

usage: torch_matmul.py SIDE"""

import sys

import torch

side = int(sys.argv[1])
for name, dtype, precision in [("f32", torch.float32, "highest"), ("tf32", torch.float32, "high"),
                               ("bf16", torch.bfloat16, "highest"), ("fp16", torch.float16, "highest")]:
    torch.set_float32_matmul_precision(precision)
    a, b = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
    times = []
    for sample in range(12):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(10):
            a @ b
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 10)
    median = sorted(times[2:])[5]
    print(f"{name:>5} {median:9.3f} ms {2 * side**3 / median / 1e9:9.2f} TFLOP/s")
