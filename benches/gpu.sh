#!/usr/bin/env bash
# Everything to measure on a machine with a GPU, in one go: are the kernels right, how fast are they, and how do products,
# attention and a training step compare with PyTorch's? Ends with a file in benches/results/, and that with a verdict.
#
#     benches/gpu.sh [--device 0] [--python python3] [--cloze path/to/cloze] [--small]
#
# --device is a number of `cloze devices`, or gpu. --python has torch with CUDA and transformers; without, those parts are
# left out, and said so. --cloze is a binary; without, one is built. --small takes minute sizes, and PyTorch on the CPU where
# it has no CUDA, to see that all of it runs: what it measures means nothing.
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
# Kernels at the sizes of a large microbatch, so that what they read comes from memory; attention has 64 numbers a head.
side=4096 shape=bert-base,batch=32,sequence=512 lengths="128 512" configs=base batch=32 heads=12 steps=20 rounds=3
torch_contestants='torch-*'
if [ -n "$small" ]; then
    side=64 shape=tiny,batch=1,sequence=32 lengths=32 configs=tiny batch=1 heads=2 steps=1 rounds=1
    torch_contestants='torch-*-sparse,torch-*-sparse-fp16'
fi
if [ -z "$cloze" ]; then
    cargo build --release --locked || exit 1
    cloze=${CARGO_TARGET_DIR:-target}/release/cloze
fi

name=gpu-$(date +%Y-%m-%d-%H%M%S)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
result=benches/results/$name.md
mkdir -p benches/results
failed=0

say() { echo "$1" >&2; { echo "$1"; echo; } >>"$result"; }

# Runs a part; one that fails does not keep the rest from running. What it prints is left in $work/out.
attempt() {
    echo "== $1" >&2
    "${@:2}" >"$work/out" 2>"$work/err" && return
    failed=1
    cat "$work/err" >&2
    say "$1: FAILED: $(grep . "$work/err" | tail -n 1)"
    return 1
}

# A part whose output is in the result.
part() {
    attempt "$@" && say "$1: passed"
    { echo '```'; tail -n "${lines:-400}" "$work/out"; echo '```'; echo; } >>"$result"
}

# A part that prints JSON, $work/NAME.json, of which verdict.py makes tables.
figures() {
    attempt "${@:2}"
    cp "$work/out" "$work/$1.json"
}

{ echo "# $name"; echo; echo "    $("$cloze" devices 2>/dev/null | head -1)"; echo; } >"$result"
precisions=f32
if "$cloze" bench gelu --shape count=4096 --precision f16 --device "$device" >/dev/null 2>"$work/err"; then
    precisions="f32 f16"
else
    say "without f16: $(grep . "$work/err" | tail -n 1)"
fi
torch=
if "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    torch=cuda
elif [ -n "$small" ] && "$python" -c 'import torch, transformers' 2>/dev/null; then
    torch=cpu
    say "PyTorch has no CUDA: it computes on the CPU, which compares nothing and shows that these parts run"
else
    say "no PyTorch with CUDA: products, attention and the step of Cloze alone"
fi
contestants='cloze,burn-*'
if [ -z "$small" ]; then contestants+=,cloze-whole; fi
if [ "$precisions" != f32 ]; then contestants+=,cloze-f16; fi
if [ -n "$torch" ]; then contestants+=,$torch_contestants; fi

if [ -z "$small" ]; then
    lines=20 part "kernel tests" cargo test --release --locked --test kernels
fi
figures doctor "doctor" "$cloze" doctor --device "$device" --json
for precision in $precisions; do
    bench() { "$cloze" bench "$@" --precision "$precision" --device "$device" --json; }
    figures "kernels-$precision" "kernels in $precision" bench --shape "$shape"
    figures "products-$precision" "products in $precision" bench matmul_nt matmul_nn matmul_tn --shape "m=$side,n=$side,k=$side"
    for length in $lengths; do
        sizes=bert-base,batch=$batch,sequence=$length,heads=$heads,width=$((64 * heads))
        figures "attention-$length-$precision" "attention in $precision, $length long" \
            bench attention attention_backward --shape "$sizes"
    done
done
if [ -n "$torch" ]; then
    figures torch-products "torch.matmul" "$python" benches/compare/torch_matmul.py "$side" --device "$torch"
    for length in $lengths; do
        figures "torch-attention-$length" "PyTorch's attention, $length long" \
            "$python" benches/compare/torch_attention.py "$batch" "$heads" "$length" 64 --device "$torch"
    done
fi
for length in $lengths; do
    part "$configs step, $batch × $length tokens" "$python" benches/compare/compare.py --device "$device" --configs "$configs" \
        --batch "$batch" --length "$length" --steps "$steps" --rounds "$rounds" --cloze "$cloze" \
        --contestants "$contestants" --torch-device "${torch:-cuda}" --json "$work/step-$length.json"
done
"$python" benches/compare/verdict.py "$work" >>"$result" || failed=1
sed -n '/^## Verdict/,$p' "$result" >&2
echo "$result" >&2
exit "$failed"
