"""Adds steps of torch.optim.Muon to golden cases, and Newton–Schulz iterations of single matrices, in float32.

usage: make_muon.py GOLDEN_DIR [--cases NAME ...]     (pip install torch transformers safetensors; torch 2.9 or later)

GOLDEN_DIR is what make_golden.py wrote. A case's model and batch are read and left as they are; its folder gets
  muon.safetensors                    ten steps, adjust_lr_fn "original" (torch's default), lr 0.02
  muon-first.safetensors              the first of them alone (bert only)
  muon-match-rms-adamw.safetensors    ten steps, adjust_lr_fn "match_rms_adamw", lr 0.002 (bert only)
each with
  losses [N] f32 before each step, grad_norms [N] f32 (global L2 over all parameters, before clipping),
  muon_lr [1] and adamw_lr [1] f32 (of every step), parameters after the last step under their HF names
GOLDEN_DIR gets newton_schulz.safetensors: for each matrix NAME of `tall` [48,32], `wide` [32,96] (both normal) and `decaying`
[40,40] (singular values 3 · 0.7^k)
  NAME.input [A,B] f32 and NAME.steps [5,A,B] f32: X after each of five iterations, transposed back; the last is the result

Every step: forward, backward, clip of the global norm of all gradients to 1.0, Muon, AdamW.
Muon has the matrices of the encoder's layers, each by itself: query, key, value, attention output, both of the MLP. ModernBERT's
Wqkv is three matrices (rows of query, key, value), and its Wi two (rows of the half that GELU takes, then of the gate).
AdamW has all else (embeddings, head, biases, norms), as in make_golden.py: lr 1e-3, betas (0.9, 0.98), eps 1e-6, weight decay 0.01
except biases and norm weights.

What torch.optim.Muon does (torch/optim/_muon.py of 2.15), for a matrix W [A,B] (A = out, B = in) with gradient G and momentum M,
which starts at 0. Defaults, which hold here: momentum μ = 0.95, nesterov, weight decay λ = 0.1, five iterations, ε = 1e-7,
(a, b, c) = (3.4445, −4.7750, 2.0315).
  1. M ← M + (1 − μ)·(G − M), i.e. μ·M + (1 − μ)·G: an average. torch's documentation has M ← μ·M + G, which is 1/(1 − μ) times as
     large and comes to the same, as step 3 takes no notice of scale (but for ε). There is no bias correction.
  2. U = M + (1 − μ)·(G − M), i.e. (1 − μ)·G + μ·M, with the new M (Nesterov); without nesterov U = M.
  3. O = NewtonSchulz(U):
       X = U, transposed where A > B (strictly), so that X·Xᵀ is the smaller product
       X ← X / max(‖X‖F, ε), the Frobenius norm; ε bounds it and is not added to it
       five times: S = X·Xᵀ;  P = b·S + c·S·S;  X ← a·X + P·X
       O = X, transposed back where A > B
     Singular values of O come to lie between about 0.68 and 1.2, where those of U are above some 1e-3 of its norm.
  4. W ← (1 − η·λ)·W, with η the learning rate as it is scheduled, before it is adjusted
  5. W ← W − η'·O, where η' = η·√max(1, A/B) for "original" and η' = η·0.2·√max(A, B) for "match_rms_adamw"
torch casts X to bfloat16 in step 3. Here its source is compiled anew with float32 in that place, and nothing else is changed.
The iterations enlarge small singular values up to 485 times (a⁵), and their rounding with them: relative to its norm, a matrix
computed in float64 differs from these by up to 1e-5 after ten steps, and `decaying` by 6e-6.
"""
import argparse, inspect, pathlib, torch
from safetensors.torch import load_file, save_file
from torch.optim import _muon
from transformers import AutoModelForMaskedLM

source = inspect.getsource(_muon._zeropower_via_newtonschulz)
assert source.count("torch.bfloat16") == 1
exec(source.replace("torch.bfloat16", "torch.float32"), vars(_muon))

# File: steps, adjust_lr_fn, lr.
MUON = {"muon": (10, "original", 0.02)}
MORE = {"muon-first": (1, "original", 0.02), "muon-match-rms-adamw": (10, "match_rms_adamw", 0.002)}
CASES = {"bert": {**MUON, **MORE}, "modernbert": MUON}
ADAMW_LR = 1e-3


def is_hidden(name, parameter):
    return parameter.ndim == 2 and (".layer." in name or ".layers." in name)


def matrices_in(name):
    return 3 if name.endswith("Wqkv.weight") else 2 if name.endswith("mlp.Wi.weight") else 1


def make(folder, file, steps, adjust_lr_fn, lr):
    m = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).train()
    batch = load_file(folder / "batch.safetensors")
    kw = {k: batch[k].long() for k in ("input_ids", "attention_mask", "token_type_ids", "labels") if k in batch}
    parameters = dict(m.named_parameters())
    hidden = {n: p for n, p in parameters.items() if is_hidden(n, p)}
    rest = [p for n, p in parameters.items() if n not in hidden]
    # Each matrix is a parameter that shares its memory with its rows of the model's.
    rows = {n: [torch.nn.Parameter(r) for r in p.detach().chunk(matrices_in(n))] for n, p in hidden.items()}
    muon = torch.optim.Muon(sum(rows.values(), []), lr=lr, adjust_lr_fn=adjust_lr_fn)
    adamw = torch.optim.AdamW([{"params": [p for p in rest if p.ndim > 1], "weight_decay": 0.01},
                               {"params": [p for p in rest if p.ndim == 1], "weight_decay": 0.0}], lr=ADAMW_LR, betas=(0.9, 0.98), eps=1e-6)
    losses, norms = [], []
    for _ in range(steps):
        m.zero_grad(); loss = m(**kw).loss; loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0))); losses.append(loss.item())
        for n, matrices in rows.items():
            for matrix, grad in zip(matrices, hidden[n].grad.chunk(len(matrices))): matrix.grad = grad
        muon.step(); adamw.step()
    save_file({"losses": torch.tensor(losses), "grad_norms": torch.tensor(norms), "muon_lr": torch.tensor([lr]),
               "adamw_lr": torch.tensor([ADAMW_LR]), **{n: p.detach().contiguous() for n, p in parameters.items()}},
              folder / f"{file}.safetensors")
    print(folder.name, file, "matrices", sum(map(len, rows.values())), "loss", losses[0], "->", losses[-1], "norm", norms[0])


def iterated(x, steps):
    return _muon._zeropower_via_newtonschulz(x, (_muon.DEFAULT_A, _muon.DEFAULT_B, _muon.DEFAULT_C), steps, _muon.EPS)


def newton_schulz(path):
    torch.manual_seed(5)
    decaying = torch.linalg.qr(torch.randn(40, 40))[0] * (3 * 0.7 ** torch.arange(40)) @ torch.linalg.qr(torch.randn(40, 40))[0]
    tensors = {}
    for name, x in {"tall": torch.randn(48, 32), "wide": torch.randn(32, 96), "decaying": decaying}.items():
        tensors |= {f"{name}.input": x, f"{name}.steps": torch.stack([iterated(x, steps) for steps in range(1, 6)])}
    save_file(tensors, path)


if __name__ == "__main__":
    a = argparse.ArgumentParser(); a.add_argument("golden", type=pathlib.Path)
    a.add_argument("--cases", nargs="*", default=list(CASES)); a = a.parse_args()
    newton_schulz(a.golden / "newton_schulz.safetensors")
    for case in a.cases:
        for file, settings in CASES.get(case, MUON).items(): make(a.golden / case, file, *settings)
