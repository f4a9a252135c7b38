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
here=gccllm.lab.train
set -- ${1:+--config "$1"}
share() { awk "BEGIN { print $minutes * $1 }"; }
several() { OMP_NUM_THREADS=1 "$python" -m torch.distributed.run --standalone --nproc-per-node "$cores" -m "$@"; }

"$python" -m $here.corpus "$@" --minutes "$(share 0.25)" --rows 200000 --workers "$cores"
several $here.sft "$@" --minutes "$(share 0.5)"
while [ $((64 % cores)) -ne 0 ]; do cores=$((cores - 1)); done   # ppo.prompts is split among them
several $here.ppo "$@" --minutes "$(share 0.2)"
"$python" -m $here.export "$@"
"$python" -m $here.corpus.card "$@"
"$python" -m $here.evaluate "$@"
