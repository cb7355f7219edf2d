#!/usr/bin/env bash
# Kills a training with SIGKILL at random moments and resumes it, until it has been killed N times. Each time it
# reaches its end, the parameters must have the same bits as those of a training that was never interrupted.
#
#   tests/kill_nine.sh N DEVICE       N kills on a device: cpu, gpu, or a number of `cloze devices`
#   CLOZE=path tests/kill_nine.sh …   with another binary than target/release/cloze
#   STEPS=200 tests/kill_nine.sh …    with a shorter or longer training
set -euo pipefail

kills=${1:?usage: tests/kill_nine.sh N DEVICE}
device=${2:?usage: tests/kill_nine.sh N DEVICE}
project=$(cd "$(dirname "$0")/.." && pwd)
cloze=$(realpath "${CLOZE:-$project/target/release/cloze}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

sed -n '200,700p' "$project/configs/quickstart/pride-and-prejudice.txt" > text.txt
cat > run.toml << END
[tokenizer]
vocab_size = 1000
[data]
train = ["text.txt"]
documents = "line"
sequence_length = 64
[model]
layers = 2
hidden_size = 64
heads = 2
dropout = 0.1
attention_dropout = 0.1
[train]
steps = ${STEPS:-400}
batch_size = 16
micro_batch = 8
learning_rate = 1e-3
[validation]
every = 20
max_sequences = 16
[checkpoint]
every = 7
END

# Begins the training of a folder, or goes on with it where it has a checkpoint, in a process of its own.
start() {
    resume=
    if [ -n "$(find "$1/checkpoints" -maxdepth 1 -name '*step-*' ! -name '.tmp-*' 2> /dev/null)" ]; then
        resume=--resume
        resumes=$((resumes + 1))
    fi
    "$cloze" train run.toml --device "$device" -q --out "$1" $resume >> out.txt 2>> messages.txt &
    process=$!
}

judge() {
    runs=$((runs + 1))
    for file in model.safetensors training.safetensors optimizer.bin; do
        cmp "whole/checkpoints/$last/$file" "killed/checkpoints/$last/$file" || other=$((other + 1))
    done
    if grep -o '{"step":[0-9]*,"tokens"' killed/metrics.jsonl | sort | uniq -d | grep .; then
        other=$((other + 1))
    fi
}

killed=0 resumes=0 runs=0 other=0
start whole
wait "$process"
last=$(ls whole/checkpoints | tail -n 1)

while [ "$killed" -lt "$kills" ]; do
    start killed
    sleep "$(printf '%d.%03d' $((RANDOM % 2)) $((RANDOM % 1000)))"
    if kill -9 "$process" 2> /dev/null; then
        killed=$((killed + 1))
        wait "$process" 2> /dev/null || true
    else
        wait "$process"
        judge
        rm -rf killed
    fi
done
start killed
wait "$process"
judge

unreadable=$(grep -c 'damaged checkpoint' messages.txt || true)
bits="the same bits as without kills"
[ "$other" = 0 ] || bits="OTHER BITS in $other files"
echo "device $device: $killed kills, $resumes resumes, $unreadable unreadable checkpoints; final parameters of $runs runs: $bits"
[ "$other" = 0 ] && [ "$unreadable" = 0 ]
