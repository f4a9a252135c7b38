#!/bin/sh
# mode = "off" in gccllm.toml, two directories up.
. "$(dirname "$0")/lib.sh"

unset GCCLLM_OPT
form() { printf '# ours\nmode = "off" # for now\n[x]\nmode = "inline"\n' >gccllm.toml && mkdir -p a/b && cd a/b && $CC -O2 -c ../../loop.c; }

compare 0
asked 0
