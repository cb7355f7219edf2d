#!/usr/bin/env bash
# Everything to measure on a machine with a GPU, in one go: are the kernels right, how fast are they, and how does a
# training step compare with PyTorch's? Ends with a file in benches/results/.
#
#     benches/gpu.sh [--device 0] [--python python3] [--cloze path/to/cloze] [--small]
#
# --device is a number of `cloze devices`, or gpu. --python has torch with CUDA and transformers; without, those parts are
# left out, and said so. --cloze is a binary; without, one is built. --small takes minute sizes, to see that all of it runs.
set -uo pipefail
cd "$(dirname "$0")/.."

device=gpu python=python3 cloze= small=
while [ $# -gt 0 ]; do
    case "$1" in
        --device) device=$2; shift 2 ;;
        --python) python=$2; shift 2 ;;
        --cloze) cloze=$2; shift 2 ;;
        --small) small=1; shift ;;
        *) echo "$1: it is --device, --python, --cloze or --small" >&2; exit 2 ;;
    esac
done
side=4096 shape=bert-base lengths="128 512" configs=base batch=32 steps=20 rounds=3
if [ -n "$small" ]; then side=64 shape=tiny lengths=32 configs=tiny batch=1 steps=1 rounds=1; fi
if [ -z "$cloze" ]; then
    cargo build --release --locked || exit 1
    cloze=${CARGO_TARGET_DIR:-target}/release/cloze
fi

name=gpu-$(date +%Y-%m-%d-%H%M%S)
work=$(mktemp -d)
result=benches/results/$name.md
mkdir -p benches/results
failed=0

# Runs a part with its output in the result; one that fails does not keep the rest from running.
part() {
    local title=$1; shift
    echo "== $title" >&2
    { echo "## $title"; echo; echo '```'; } >>"$result"
    local verdict=passed
    "$@" >"$work/out" 2>"$work/err" || verdict=FAILED failed=1
    if [ "$verdict" = FAILED ]; then cat "$work/err" >&2; fi
    echo "$verdict" | tee -a "$result" >&2
    { tail -n "${lines:-400}" "$work/out"; echo '```'; echo; } >>"$result"
}

{ echo "# $name"; echo; echo "    $("$cloze" devices 2>/dev/null | head -1)"; echo; } >"$result"
if [ -z "$small" ]; then
    lines=20 part "kernel tests" cargo test --release --locked --test kernels
fi
part "doctor" "$cloze" doctor --device "$device"
part "kernels" "$cloze" bench --shape "$shape" --device "$device"
part "products at $side³" "$cloze" bench matmul_nt matmul_nn matmul_tn --shape "m=$side,n=$side,k=$side" --device "$device"
if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    part "torch.matmul at $side³" "$python" benches/compare/torch_matmul.py "$side"
    contestants=
else
    echo "no PyTorch with CUDA: the products and the step of Cloze alone" | tee -a "$result" >&2
    contestants=cloze
fi
for length in $lengths; do
    part "$configs step, $batch × $length tokens" "$python" benches/compare/compare.py --device "$device" --configs "$configs" \
        --batch "$batch" --length "$length" --steps "$steps" --rounds "$rounds" --cloze "$cloze" \
        ${contestants:+--contestants "$contestants"}
done
rm -rf "$work"
echo "$result" >&2
exit "$failed"
