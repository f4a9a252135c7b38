#!/bin/sh
# The built-in model from nothing: corpus, supervised training, PPO, export, evaluation.
# Stopped, it continues (the corpus for another quarter).
#   sh gccllm/lab/train/run.sh [FILE]
# FILE: the configuration of all stages (config.py), everything but minutes, rows and processes.
# Needs `pip install . ./gccllm/lab[train]` and gcc. MINUTES in all (150): a quarter for the corpus, half for supervised
# training, a fifth for PPO. CORES processes (all cores; for PPO as many as divide its 64 prompts), which are faster
# than as many threads.
set -e
minutes=${MINUTES:-150} cores=${CORES:-$(nproc)} python=${PYTHON:-python}
set -- ${1:+--config "$1"}
stage() { "$python" -m gccllm.lab.train "$@"; }
share() { awk "BEGIN { print $minutes * $1 }"; }
several() {
    OMP_NUM_THREADS=1 "$python" -m torch.distributed.run --standalone --nproc-per-node "$cores" -m gccllm.lab.train "$@"
}

stage corpus "$@" --minutes "$(share 0.25)" --rows 200000 --workers "$cores"
several sft "$@" --minutes "$(share 0.5)"
while [ $((64 % cores)) -ne 0 ]; do cores=$((cores - 1)); done   # ppo.prompts is split among them
several ppo "$@" --minutes "$(share 0.2)"
stage export "$@"
stage card "$@"
stage evaluate "$@"
