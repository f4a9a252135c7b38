#!/bin/sh
# A mode that nobody knows leaves gcc alone.
. "$(dirname "$0")/lib.sh"

export GCCLLM_MODE=fast
form() { $CC -O2 -c loop.c; }

compare 0
asked 0
