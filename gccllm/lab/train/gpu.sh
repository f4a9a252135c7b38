#!/bin/sh
# All that is done on a machine with a GPU: supervised training, PPO with a worker a core, a comparison of the two.
#   sh gccllm/lab/train/gpu.sh FOLDER OUT
# FOLDER: what `pack corpus` made (ids.npz, ppo/), perhaps with weights in start/.
# The machine needs python3 with numpy and torch, gcc for the rewards, and the wheels in .whl (filelock, iced-x86,
# platformdirs, pyelftools) where its python lacks them. Seconds of each part: SFT, PPO.
set -e
from=$1 out=$2
work=$(mktemp -d)
if [ -d .whl ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$work/site" .whl/*.whl
fi
export PYTHONPATH="$work/site:." PYTHONUNBUFFERED=1
stage() { python3 -m gccllm.lab.train "$@"; }
common="--config gccllm/lab/train/gpu.toml --out $work"
minutes() { awk "BEGIN { print $1 / 60 }"; }
workers=$(($(nproc) - 2))

cp "$from"/ppo/* "$work"
if [ -d "$from/start" ]; then
    stage pack join "$from/start" "$work/checkpoint.pt"
fi
stage sft $common --data "$from/ids.npz" --scale "${SCALE:-1}" --minutes "$(minutes "${SFT:-300}")"
stage pack part "$work/checkpoint.pt" "$out/sft"
cp "$work/curve.csv" "$out/sft"
stage ppo $common --workers "$workers" --minutes "$(minutes "${PPO:-120}")"
stage pack part "$work/ppo-average.pt" "$out/ppo"
cp "$work/ppo.csv" "$out/ppo"
stage compare $common --rows "${ROWS:-300}" --workers "$workers" checkpoint.pt ppo-average.pt
