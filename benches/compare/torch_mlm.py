"""Times masked-language-model training steps of transformers' BertForMaskedLM, for compare.py.

usage: torch_mlm.py LAYERS WIDTH HEADS INNER VOCABULARY BATCH LENGTH [--compile] [--sparse] [--steps N] [--device D]
                    [--dtype f32|tf32|bf16|fp16]

With --sparse the head sees the masked rows alone, as a trainer written by hand has it; without it is what
`BertForMaskedLM(input_ids, labels)` does."""

import argparse
import json
import time

import torch
import transformers


def measure(shape, steps, device, dtype, compiled, sparse):
    layers, width, heads, inner, vocabulary, batch, length = shape
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    config = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, max_position_embeddings=512, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = transformers.BertForMaskedLM(config).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    scaler = torch.amp.GradScaler(device, enabled=dtype == "fp16")

    ids = torch.randint(5, vocabulary, (batch, length), device=device)
    labels = torch.full_like(ids, -100)
    for sequence in range(batch):
        picks = torch.randperm(length)[: int(length * 0.15)]
        labels[sequence, picks] = ids[sequence, picks]
    ids[labels != -100] = 4
    rows = (labels.view(-1) != -100).nonzero().squeeze(1)
    targets = labels.view(-1)[rows]

    def loss_of_step():
        if not sparse:
            return model(input_ids=ids, labels=labels).loss
        hidden = model.bert(input_ids=ids).last_hidden_state.view(-1, width)[rows]
        return torch.nn.functional.cross_entropy(model.cls(hidden), targets)

    if compiled:
        loss_of_step = torch.compile(loss_of_step)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(dtype)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=half, enabled=half is not None):
            loss = loss_of_step()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss

    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(2):
        step()
    synchronize()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        loss = step()
        synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    return {
        "step_ms": times[len(times) // 2], "min_ms": times[0], "loss": float(loss.detach()),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "device_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None,
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", nargs=7, type=int)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="f32", choices=["f32", "tf32", "bf16", "fp16"])
    a = parser.parse_args()
    print(json.dumps(measure(a.shape, a.steps, a.device, a.dtype, a.compile, a.sparse)))
