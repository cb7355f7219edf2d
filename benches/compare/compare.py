#!/usr/bin/env python3
"""Times the same training step in PyTorch with transformers, in Cloze and in burn, and prints one table.

    pip install torch transformers
    cargo build --release
    cargo build --release --manifest-path benches/compare/burn/Cargo.toml
    python benches/compare/compare.py --configs tiny,mini --out benches/results/my-machine.md

Every run is a process of its own, and the contestants take turns, so that a machine that gets slower for a while does so
for all. A figure is the median over the rounds of the median step; memory is the most that the process had in memory, on a
GPU what PyTorch allocated there, or burn's pools hold. Everybody trains on random tokens, 15 % of them masked, without
dropout, with clipping and AdamW."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# layers, width, heads, inner, vocabulary, batch, length; `configs/NAME-bert.toml` has the same.
SHAPES = {
    "tiny": (2, 128, 2, 512, 8192, 32, 128),
    "mini": (4, 256, 4, 1024, 16384, 32, 128),
    "small": (4, 512, 8, 2048, 30522, 16, 128),
    "base": (12, 768, 12, 3072, 30522, 8, 128),
}
REFERENCE = "torch-eager-sparse"


def contestants(device):
    """Names, and what they are."""
    dtypes = ["f32"] if device == "cpu" else ["f32", "tf32", "bf16", "fp16"]
    torch = {}
    for dtype in dtypes:
        for mode in ["eager", "compile"]:
            for head in ["full", "sparse"]:
                suffix = "" if dtype == "f32" else f"-{dtype}"
                torch[f"torch-{mode}-{head}{suffix}"] = f"PyTorch {mode}, {head} head, {dtype}"
    cloze = {"cloze": f"Cloze, {device}, f32", "cloze-whole": f"Cloze, {device}, f32, in one microbatch, nothing computed again"}
    burn = {"burn-flex": "burn, flex (CPU), f32"} if device == "cpu" else {"burn-wgpu": "burn, wgpu, f32"}
    return torch | cloze | burn


def target(folder):
    """Where cargo puts what it builds of the crate in `folder`."""
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", folder / "target")) / "release"


def command(name, shape, config, args):
    numbers = [str(number) for number in shape]
    if name.startswith("torch"):
        _, mode, head, *dtype = name.split("-")
        flags = ["--compile"] * (mode == "compile") + ["--sparse"] * (head == "sparse")
        device = "cpu" if args.device == "cpu" else "cuda"
        tail = ["--steps", str(args.steps), "--device", device, "--dtype", *(dtype or ["f32"])]
        return [sys.executable, str(HERE / "torch_mlm.py"), *numbers, *flags, *tail]
    if name.startswith("burn"):
        return [args.burn, name.removeprefix("burn-"), str(args.steps), *numbers]
    sets = [f"train.batch_size={shape[5]}", f"data.sequence_length={shape[6]}"]
    if name == "cloze-whole":
        sets += [f"train.micro_batch={shape[5]}", "train.recompute=none"]
    sets = [word for key in sets for word in ("--set", key)]
    path = str(ROOT / "configs" / f"{config}-bert.toml")
    return [args.cloze, "bench", "train", path, *sets, "--device", args.device, "--steps", str(args.steps), "--json"]


def run(name, shape, config, args):
    """What a run reports, with the most memory its process had; or what it said when it failed."""
    environment = dict(os.environ)
    if args.threads:
        for key in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]:
            environment[key] = str(args.threads)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            child = subprocess.Popen(command(name, shape, config, args), stdout=out, stderr=err, env=environment)
        except OSError as error:
            return {"failed": str(error)}
        usage, in_time = wait(child, args.timeout)
        out.seek(0), err.seek(0)
        output, errors = out.read(), err.read()
    if not in_time:
        return {"failed": f"not done in {args.timeout} s"}
    if child.returncode != 0:
        lines = [line for line in errors.splitlines() if line.strip()]
        return {"failed": f"exit {child.returncode}: {lines[-1] if lines else ''}"}
    report = json.loads(output[output.index("{"):])
    # Kilobytes on Linux, bytes on macOS.
    report["resident"] = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return report


def wait(child, seconds):
    """Waits for a process, kills it after `seconds`: what it used, and whether it ended by itself."""
    deadline = time.monotonic() + seconds
    in_time = True
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return usage, in_time
        if time.monotonic() > deadline:
            in_time = False
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.05)


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(results, names, args):
    """`results[config][name]` is a list of reports."""
    head = ["model", "contestant", "tokens/s", "ms a step", "fastest to slowest round", "peak MB", f"× {REFERENCE}"]
    lines = ["| " + " | ".join(head) + " |", "| --- | --- |" + " ---: |" * 5]
    for config, runs in results.items():
        layers, width, _, _, _, batch, length = args.shapes[config]
        model = f"{config} {layers} × {width}, {batch} × {length} tokens"
        median = {name: statistics.median(report["step_ms"] for report in reports) for name, reports in runs.items()
                  if reports and all("step_ms" in report for report in reports)}
        for name, reports in runs.items():
            if name not in median:
                why = next((report["failed"] for report in reports if "failed" in report), "not run")
                lines.append(f"| {model} | {names[name]} | failed: {why} | | | | |")
                continue
            milliseconds = [report["step_ms"] for report in reports]
            memory = statistics.median(report.get("device_bytes") or
                                       (report["resident"] if args.device == "cpu" else
                                        report.get("peak_bytes") or report["resident"]) for report in reports)
            ratio = f"{median[REFERENCE] / median[name]:.2f}" if REFERENCE in median else "–"
            lines.append(f"| {model} | {names[name]} | {1e3 * batch * length / median[name]:.0f} | {median[name]:.1f} | "
                         f"{min(milliseconds):.1f} to {max(milliseconds):.1f} | {memory / 1e6:.0f} | {ratio} |")
    return lines


def heading(results, args):
    reports = [report for runs in results.values() for reports in runs.values() for report in reports]
    versions = {f"Cloze {report['version']} on {report['device']}" if "mfu" in report else report["versions"]
                for report in reports if "failed" not in report}
    threads = args.threads or os.cpu_count()
    return [
        f"{processor()}, {threads} threads; {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}; {'; '.join(sorted(versions)) or 'nothing ran'}.",
        f"{args.rounds} rounds in turns, {args.steps} steps each; {datetime.date.today()}.", "",
        "    " + " ".join(["python", "benches/compare/compare.py", *sys.argv[1:]]), "",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", default=",".join(SHAPES), help="of " + ", ".join(SHAPES))
    parser.add_argument("--contestants", help="default: all of the device, burn where it was built")
    parser.add_argument("--device", default="cpu", help="cpu, or what `cloze --device` takes: gpu, 0, …")
    parser.add_argument("--steps", type=int, default=8, help="timed steps a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: as each contestant has it")
    parser.add_argument("--batch", type=int, help="sequences a step, instead of the config's")
    parser.add_argument("--length", type=int, help="tokens a sequence, instead of the config's")
    parser.add_argument("--cloze", default=str(target(ROOT) / "cloze"), help="the binary")
    parser.add_argument("--burn", default=str(target(HERE / "burn") / "burn-mlm"), help="the binary")
    parser.add_argument("--timeout", type=int, default=900, help="seconds that a run may take")
    parser.add_argument("--out", help="a Markdown file for the machine, the versions and the table")
    args = parser.parse_args()

    names = contestants(args.device)
    chosen = args.contestants.split(",") if args.contestants else list(names)
    if not args.contestants and not pathlib.Path(args.burn).exists():
        print(f"without burn: there is no {args.burn}", file=sys.stderr)
        chosen = [name for name in chosen if not name.startswith("burn")]
    for what, given, known in [("--configs", args.configs.split(","), SHAPES), ("--contestants", chosen, names)]:
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f"{what}: {', '.join(unknown)} is none of {', '.join(known)}")
    args.shapes = {config: (*SHAPES[config][:5], args.batch or SHAPES[config][5], args.length or SHAPES[config][6])
                   for config in args.configs.split(",")}

    results = {config: {name: [] for name in chosen} for config in args.shapes}
    for number in range(args.rounds):
        for config, shape in args.shapes.items():
            for name in chosen:
                report = run(name, shape, config, args)
                results[config][name].append(report)
                print(f"round {number + 1}, {config}, {name}: {report.get('failed') or format(report['step_ms'], '.1f')}",
                      file=sys.stderr)
    text = "\n".join(heading(results, args) + table(results, names, args)) + "\n"
    print(text)
    if args.out:
        pathlib.Path(args.out).write_text(text)
    if any("failed" in report for runs in results.values() for reports in runs.values() for report in reports):
        sys.exit("some of the runs failed")


if __name__ == "__main__":
    main()
