#!/usr/bin/env bash
# Everything to measure on a machine with a GPU, in one go: are the kernels right, how fast are they, and how do products,
# attention and a training step compare with PyTorch's? Ends with a verdict.
#
#     benches/gpu.sh [--budget SECONDS] [--device 0] [--python python3] [--cloze FILE] [--tests FILE] [--out FOLDER]
#                    [--parts NAME,…] [--small]
#
# It needs neither Rust nor a network where the binaries are given: --cloze is `cloze`, --tests the program of the kernel tests
# (target/release/deps/kernels-…). Without them cargo builds both. --device is a number of `cloze devices`, or gpu. --python has
# torch with CUDA and transformers; without, those parts are left out, and said so.
#
# The most telling parts come first, and with --budget those that there is no time for are left out. What a part measured lies in
# FOLDER/gpu-DATE/ as soon as it ends, and in FOLDER/gpu-DATE.tar.gz, whatever becomes of the later ones. --parts takes some of:
#     devices tests doctor steps products attention torch kernels      all of these unless it is given
#     torch-all                                                        TF32, bf16 and every way to compile too, and burn
# --small takes minute sizes, and PyTorch on the CPU where it has no CUDA, to see that all of it runs: what it measures means
# nothing.
set -uo pipefail
cd "$(dirname "$0")/.."

budget= device=gpu python=python3 cloze= tests= out=benches/results small=
parts=devices,tests,doctor,steps,products,attention,torch,kernels
while [ $# -gt 0 ]; do
    case "$1" in
        --budget) budget=$2; shift 2 ;;
        --device) device=$2; shift 2 ;;
        --python) python=$2; shift 2 ;;
        --cloze) cloze=$2; shift 2 ;;
        --tests) tests=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --parts) parts=$2; shift 2 ;;
        --small) small=1; shift ;;
        *) echo "$1: it is --budget, --device, --python, --cloze, --tests, --out, --parts or --small" >&2; exit 2 ;;
    esac
done
case "$budget" in *[!0-9]*) echo "--budget $budget: it is a number of seconds" >&2; exit 2 ;; esac
# Kernels at the sizes of a large microbatch, so that what they read comes from memory; attention has 64 numbers a head.
side=4096 shape=bert-base,batch=32,sequence=512 lengths="128 512" config=configs/base-bert.toml batch=32 heads=12 steps=20
if [ -n "$small" ]; then
    side=64 shape=tiny,batch=1,sequence=32 lengths=32 config=configs/tiny-bert.toml batch=1 heads=2 steps=1
fi
if [ -z "$cloze" ]; then
    cargo build --release --locked || exit 1
    cloze=${CARGO_TARGET_DIR:-target}/release/cloze
fi

name=gpu-$(date +%Y-%m-%d-%H%M%S)
work=$out/$name result=$out/$name/result.md
mkdir -p "$work"
failed=0 child=

say() { echo "$1" >&2; { echo "$1"; echo; } >>"$result"; }

# Seconds that a part may take: those it is given, or what the budget leaves when a few are set aside for the verdict.
seconds_for() {
    local left=$((${budget:-100000} - SECONDS - 8))
    echo $((left < $1 ? left : $1))
}

asked() { case ",$parts," in *",$1,"*) return 0 ;; esac; return 1; }

# attempt SECONDS WHAT COMMAND…: runs it within that time. One that fails does not keep the rest from running. What it prints is
# in $work/out and $work/err.
attempt() {
    local limit what=$2 begun=$SECONDS
    limit=$(seconds_for "$1")
    if [ "$limit" -lt 3 ]; then
        say "$what: left out, there is no time for it"
        return 1
    fi
    echo "== $what" >&2
    timeout --kill-after 2 "$limit" "${@:3}" >"$work/out" 2>"$work/err" &
    child=$!
    wait "$child"
    local status=$?
    child=
    [ $status -eq 0 ] && { say "$what: passed in $((SECONDS - begun)) s"; return; }
    failed=1
    tail -n 20 "$work/err" >&2
    if [ $status -ge 124 ]; then
        say "$what: FAILED, not done in $limit s"
    else
        say "$what: FAILED: $(grep . "$work/err" "$work/out" -h | tail -n 1)"
    fi
    return 1
}

archive() {
    tar -czf "$work.tar.gz.part" -C "$out" "$name" && mv "$work.tar.gz.part" "$work.tar.gz"
}

# A part whose output is shown in the result.
shown() {
    attempt "$@"
    { echo '```'; tail -n 60 "$work/out"; echo '```'; echo; } >>"$result"
    archive
}

# figures NAME SECONDS WHAT COMMAND…: a part that prints JSON, $work/NAME.json, of which verdict.py makes tables.
figures() {
    attempt "${@:2}" && mv "$work/out" "$work/$1.json"
    mv "$work/err" "$work/$1.log"
    archive
}

finish() {
    [ -n "$child" ] && kill "$child" 2>/dev/null
    rm -f "$work/out" "$work/err"
    "$python" benches/compare/verdict.py "$work" >>"$result" || say "the verdict needs a python3: --python"
    archive
    sed -n '/^## Verdict/,$p' "$result" >&2
    echo "$result" >&2
}
trap finish EXIT
trap 'say "ended by a signal after $SECONDS s"; exit 130' INT TERM HUP

{ echo "# $name"; echo; } >"$result"
if asked devices; then
    shown 30 "devices" "$cloze" devices
    if command -v nvidia-smi >/dev/null; then
        shown 10 "nvidia-smi" nvidia-smi
    fi
fi
precisions=f32
if attempt 60 "f16" "$cloze" bench gelu --shape count=4096 --precision f16 --device "$device"; then
    precisions="f32 f16"
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

if asked tests; then
    export CLOZE_GOLDEN=$PWD/kernels-tests/golden
    filters="parity golden half"
    [ -n "$small" ] && filters="a_known_gradient"
    if [ -n "$tests" ]; then
        # shellcheck disable=SC2086
        shown 60 "kernel tests" "$tests" $filters
    elif command -v cargo >/dev/null; then
        # shellcheck disable=SC2086
        shown 600 "kernel tests" cargo test --release --locked --test kernels -- $filters
    else
        say "kernel tests: left out, there is neither --tests nor cargo"
    fi
fi
asked doctor && figures doctor 90 "doctor" "$cloze" doctor --device "$device" --json
if asked steps; then
    for length in $lengths; do
        for precision in $precisions; do
            figures "step-$length-$precision" 60 "step, $batch × $length tokens, $precision" "$cloze" bench train "$config" \
                --set train.batch_size="$batch" --set train.micro_batch="$batch" --set data.sequence_length="$length" \
                --set train.precision="$precision" --set train.recompute=none --device "$device" --steps "$steps" --profile --json
        done
    done
    # What a later start takes.
    first=${lengths%% *}
    figures "again-$first" 30 "the first step once more" "$cloze" bench train "$config" --set train.batch_size="$batch" \
        --set train.micro_batch="$batch" --set data.sequence_length="$first" --set train.recompute=none --device "$device" \
        --steps 1 --json
fi
for precision in $precisions; do
    bench() { figures "$1-$precision" "$2" "$3 in $precision" "$cloze" bench "${@:4}" --precision "$precision" --device "$device" --json; }
    asked products && bench products 30 products matmul_nt matmul_nn matmul_tn --shape "m=$side,n=$side,k=$side"
    if asked attention; then
        for length in $lengths; do
            sizes=bert-base,batch=$batch,sequence=$length,heads=$heads,width=$((64 * heads))
            bench "attention-$length" 20 "attention, $length long," attention attention_backward --shape "$sizes"
        done
    fi
done
if [ -n "$torch" ] && asked torch; then
    # One process for all of it: starting PyTorch takes seconds, compiling a step half a minute.
    # shellcheck disable=SC2086
    attempt 150 "PyTorch" "$python" benches/compare/torch_gpu.py "$work" --device "$torch" --side "$side" --batch "$batch" \
        --heads "$heads" --config "$(basename "${config%-bert.toml}")" --steps "$steps" --lengths $lengths
    archive
fi
if asked kernels; then
    for precision in $precisions; do
        figures "kernels-$precision" 60 "kernels in $precision" "$cloze" bench --shape "$shape" --precision "$precision" \
            --device "$device" --json
    done
fi
if asked torch-all; then
    for length in $lengths; do
        shown 600 "every way of PyTorch, $batch × $length tokens" "$python" benches/compare/compare.py --device "$device" \
            --configs "$(basename "${config%-bert.toml}")" --batch "$batch" --length "$length" --steps "$steps" --rounds 1 \
            --cloze "$cloze" --contestants 'cloze,cloze-f16,burn-*,torch-*' --torch-device "${torch:-cuda}"
    done
fi
exit "$failed"
