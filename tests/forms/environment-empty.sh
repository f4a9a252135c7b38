#!/bin/sh
# env -i, but for PATH.
. "$(dirname "$0")/lib.sh"

form() { env -i PATH=/usr/bin:/bin ENGINE_CALLS="$ENGINE_CALLS" GCCLLM_ENGINE="$GCCLLM_ENGINE" GCCLLM_OPT=untouched $CC -O2 -c loop.c; }

compare 0
asked 1
labelled
