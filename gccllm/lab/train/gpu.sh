#!/bin/sh
# All that is done on a machine with a GPU: supervised training, PPO with a worker a core, a comparison of the two.
#   sh gccllm/lab/train/gpu.sh FOLDER OUT     FOLDER: what `bulk pack` made (ids.npz, ppo/), perhaps with weights in start/
# The machine needs python3 with numpy and torch, gcc for the rewards, and the wheels in .whl (click, filelock,
# iced-x86, pyelftools, rich and what it needs) where its python lacks them. Seconds of each part: SFT, PPO.
set -e
from=$1 out=$2
work=$(mktemp -d)
if [ -d .whl ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$work/site" .whl/*.whl
fi
export PYTHONPATH="$work/site:." PYTHONUNBUFFERED=1
cp "$from"/ppo/* "$work"
python3 -m gccllm.lab.train.bulk train "$from/ids.npz" "$out/sft" --seconds "${SFT:-300}" --scale "${SCALE:-1}" \
    $([ -d "$from/start" ] && echo "--start $from/start")
python3 -m gccllm.lab.train.bulk join "$out/sft" "$work/checkpoint.pt"
workers=$(($(nproc) - 2))
python3 -m gccllm.lab.train --out "$work" --threads 4 ppo --minutes "$((${PPO:-120} / 60))" --prompts 256 --rate 3e-4 \
    --workers "$workers" --fresh-batches 14 --rows-at-once 2048 --chunk-tokens 60000
python3 -m gccllm.lab.train.bulk part "$work/ppo-average.pt" "$out/ppo"
cp "$work/ppo.csv" "$out/ppo"
python3 -m gccllm.lab.train --out "$work" --threads 4 compare checkpoint.pt ppo-average.pt --rows "${ROWS:-300}" \
    --workers "$workers"
