"""How long something takes in PyTorch, for torch_matmul.py and torch_attention.py."""

import time

import torch

WARM_UP, SAMPLES = 3, 9


def median_ms(run, device):
    """Milliseconds of `run()`: the median of a few samples, on a GPU of ten runs each by its own clock."""
    times = []
    for sample in range(WARM_UP + SAMPLES):
        if device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(10):
                run()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end) / 10)
        else:
            start = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - start))
    return sorted(times[WARM_UP:])[SAMPLES // 2]
