"""Puts what gpu.sh measured into tables, and holds it against what was asked. Every figure is read from the JSON of `cloze doctor`,
`cloze bench`, the torch_*.py and compare.py; a file that is not there leaves its part out, and says so.

usage: verdict.py FOLDER

FOLDER has doctor.json, {kernels,products}-{f32,f16}.json, torch-products.json, and for each length of a sequence
{attention,step}-LENGTH-{f32,f16}.json, torch-attention-LENGTH.json and torch-step-LENGTH-NAME.json."""

import json
import pathlib
import sys

# What is asked, as shares.
OF_PEAK = 0.60
OF_TORCH = 0.20
OF_COPY = 0.75
BUSY = 0.95
OF_TORCH_STEP = {"f32": 0.8, "f16": 0.4}
# What PyTorch's step is called in torch_gpu.py, and in words.
STEPS = {"f32": ("torch-eager-sparse", "eager f32"), "f16": ("torch-compile-sparse-fp16", "compiled fp16")}
# A launch that would take less at the speed of a copy says what launching costs, not how fast memory is read.
SHORT_MS = 0.01
PRECISIONS = ["f32", "f16"]
ABSENT = "not measured"


def read(folder, name):
    """What a command printed, None where it did not run or failed."""
    try:
        return json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None


def launches(folder, name):
    """Reports of `cloze bench` in both precisions."""
    found = [read(folder, f"{name}-{precision}") for precision in PRECISIONS]
    return [launch for report in found if report for launch in report["kernels"]]


def fastest(launches):
    """The fastest variant of each kernel in each precision."""
    best = {}
    for launch in launches:
        key = launch["kernel"], launch["precision"]
        if key not in best or ms(launch) < ms(best[key]):
            best[key] = launch
    return best


def ms(launch):
    return launch["timing_ms"]["median"]


def percent(share):
    return f"{100 * share:.1f} %"


def table(title, heads, rows):
    print(f"## {title}\n")
    if not rows:
        print(f"{ABSENT}\n")
        return
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def parity(doctor):
    """Every variant of every kernel against its twin: the table, and the line of the verdict."""
    asked = "parity of every variant", "all"
    findings = [finding for device in (doctor or {}).get("devices", []) for finding in device["kernels"]]
    rows = [(f["kernel"], f["variant"], f["precision"], str(f["trials"]), "∞" if f["worst"] is None else f"{f['worst']:.3f}",
             "passed" if f["passed"] else "FAILED: " + "; ".join(f["problems"][:1])) for f in findings]
    table("Parity", ["kernel", "variant", "precision", "trials", "error / allowed", ""], rows)
    if not findings:
        return *asked, ABSENT, ""
    passed = sum(finding["passed"] for finding in findings)
    return *asked, f"{passed} of {len(findings)}", met(passed == len(findings))


def kernels(launches):
    rows = [(launch["kernel"], launch["variant"], launch["precision"], f"{ms(launch):.4f}", percent(launch["timing_ms"]["spread"]),
             f"{launch['gflops']:.1f}", percent(launch["of_peak"]), f"{launch['gbytes_per_second']:.1f}", percent(launch["of_copy"]))
            for launch in launches]
    shapes = sorted({launch["shape"] for launch in launches})
    table(f"Kernels {', '.join(shapes)}",
          ["kernel", "variant", "precision", "ms", "spread", "GFLOP/s", "of f32 peak", "GB/s", "of copy"], rows)


def products(launches, torch):
    """Products beside torch.matmul; two lines of the verdict."""
    torch = {(f"matmul_{run['layout']}", run["precision"]): run for run in (torch or {}).get("products", [])}

    def beside(launch):
        peer = torch.get((launch["kernel"], launch["precision"]))
        return launch["gflops"] / peer["gflops"] if peer else None

    rows = [(launch["kernel"], launch["variant"], launch["precision"], f"{ms(launch):.3f}", f"{launch['gflops'] / 1e3:.2f}",
             percent(launch["of_peak"]), "–" if beside(launch) is None else percent(beside(launch))) for launch in launches]
    rows += [(kernel, "torch.matmul", precision, f"{run['ms']:.3f}", f"{run['gflops'] / 1e3:.2f}", "", "")
             for (kernel, precision), run in torch.items()]
    sides = sorted({launch["shape"] for launch in launches})
    table(f"Products {', '.join(sides)}",
          ["product", "variant", "precision", "ms", "TFLOP/s", "of f32 peak", "of torch.matmul in this precision"], rows)

    plain = [launch["of_peak"] for (_, precision), launch in fastest(launches).items() if precision == "f32"]
    asked = "f32 products, the slowest transposition, of the multiply-adds' peak", f"≥ {percent(OF_PEAK)}"
    yield *asked, *(least(plain, OF_PEAK) if plain else (ABSENT, ""))

    matrices = fastest(launch for launch in launches if "matri" in launch["variant"] or launch["variant"].startswith("cooperative")).values()
    shares = [beside(launch) for launch in matrices]
    asked = "cooperative f16 products, the slowest transposition, of torch.matmul", f"≥ {percent(OF_TORCH)}"
    if not shares:
        yield *asked, f"{ABSENT}: no cooperative variant runs here", ""
    elif None in shares:
        yield *asked, f"{ABSENT}: no torch.matmul to compare with", ""
    else:
        yield *asked, *least(shares, OF_TORCH)


def beside_torch(folder):
    """Attention and training steps beside PyTorch; four lines of the verdict."""
    attention, steps, profiles = [], [], []
    for length in lengths(folder):
        best = fastest(launches(folder, f"attention-{length}"))
        peers = (read(folder, f"torch-attention-{length}") or {}).get("runs", [])
        peers = {run["precision"]: run["ms"] for run in peers if run["mode"] == "eager"}
        for precision in PRECISIONS:
            passes = [best.get((kernel, precision)) for kernel in ("attention", "attention_backward")]
            ours = sum(map(ms, passes)) if all(passes) else None
            attention.append((f"{length} long, {precision}", "eager", ours, peers.get(precision)))
            step = read(folder, f"step-{length}-{precision}")
            peer = read(folder, f"torch-step-{length}-{STEPS[precision][0]}") or {}
            ours = step and step["step_ms"]
            steps.append((f"{length} long, {precision}", STEPS[precision][1], ours, peer.get("step_ms")))
            if step and step.get("kernels_ms"):
                profiles.append((f"{length} long, {precision}", step))
    figure = lambda value: "–" if value is None else f"{value:.3f}"
    table("Beside PyTorch", ["what", "shape", "Cloze ms", "PyTorch", "its ms", "times its speed"],
          [(what, shape, figure(ours), peer, figure(theirs), "–" if None in (ours, theirs) else f"{theirs / ours:.2f}")
           for what, rows in [("attention forward and backward", attention), ("training step", steps)]
           for shape, peer, ours, theirs in rows])
    for shape, step in profiles:
        print(f"## The step, {shape}: {step['device']}\n\n```\n{step['profile']}```\n")
    for precision, least_speed in OF_TORCH_STEP.items():
        asked = f"the step in {precision}, times the speed of PyTorch {STEPS[precision][1]}", f"≥ {least_speed}"
        ratios = [theirs / ours for shape, _, ours, theirs in steps if shape.endswith(precision) and None not in (ours, theirs)]
        yield *asked, *((f"{min(ratios):.2f} to {max(ratios):.2f}", met(min(ratios) >= least_speed)) if ratios else (ABSENT, ""))
    busy = [step["kernels_ms"] / step["step_ms"] for _, step in profiles]
    asked = "the GPU is busy, share of a step", f"≥ {percent(BUSY)}"
    yield *asked, *(least(busy, BUSY) if busy else (ABSENT, ""))
    ready = lambda pattern: [json.loads(path.read_text())["ready_seconds"] for path in folder.glob(pattern)]
    for what, found, most in [("first starts", ready("step-*.json"), 20), ("a later start", ready("again-*.json"), 1)]:
        asked = f"{what} until the first step, checks and measurements included", f"≤ {most} s"
        yield *asked, *((f"{max(found):.2f} s", met(max(found) <= most)) if found else (ABSENT, ""))


def lengths(folder):
    """Of the sequences that anything was measured of."""
    names = [path.stem for pattern in ("step-*.json", "attention-*.json") for path in folder.glob(pattern)]
    return sorted({int(name.split("-")[1]) for name in names})


def bandwidth(launches):
    """Kernels that memory bounds, by the measured peaks: reading and writing takes them longer than computing."""
    bound = [launch for launch in fastest(launches).values() if launch["of_copy"] >= launch["of_peak"]]
    long = [launch for launch in bound if launch["of_copy"] * ms(launch) >= SHORT_MS]
    rows = [(launch["kernel"], launch["variant"], launch["precision"], f"{launch['gbytes_per_second']:.1f}", percent(launch["of_copy"]),
             met(launch["of_copy"] >= OF_COPY) if launch in long else "too short to tell") for launch in bound]
    table("Kernels bound by bandwidth, each by its fastest variant",
          ["kernel", "variant", "precision", "GB/s", "of copy", f"≥ {percent(OF_COPY)}"], rows)
    asked = "kernels bound by bandwidth, of the speed of a copy", f"≥ {percent(OF_COPY)}"
    if not long:
        return *asked, ABSENT, ""
    slowest = min(long, key=lambda launch: launch["of_copy"])
    enough = sum(launch["of_copy"] >= OF_COPY for launch in long)
    what = f"{enough} of {len(long)}; the least is {slowest['kernel']} {slowest['precision']}, {percent(slowest['of_copy'])}"
    return *asked, what, met(enough == len(long))


def least(shares, asked):
    return percent(min(shares)), met(min(shares) >= asked)


def met(yes):
    return "met" if yes else "not met"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    verdict = [parity(read(folder, "doctor"))]
    timed = launches(folder, "kernels")
    kernels(timed)
    verdict += products(launches(folder, "products"), read(folder, "torch-products"))
    verdict += beside_torch(folder)
    verdict.append(bandwidth(timed))
    table("Verdict", ["figure", "asked", "measured", ""], verdict)


if __name__ == "__main__":
    main()
