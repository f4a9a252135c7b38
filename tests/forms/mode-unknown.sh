#!/bin/sh
# A mode that nobody knows is as if it were not set: the project decides.
. "$(dirname "$0")/lib.sh"

export GCCLLM_MODE=fast
form() { $CC -O2 -c loop.c && echo 'mode = "off"' >gccllm.toml && $CC -O2 -c main.c; }

compare 0
asked 1
