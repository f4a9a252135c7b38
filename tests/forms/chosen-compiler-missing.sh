#!/bin/sh
# GCCLLM_CC that is not there: gcc.
. "$(dirname "$0")/lib.sh"

ours() { GCCLLM_CC=no-such-gcc CC=$LLM run "$1"; }
form() { $CC -O2 -c loop.c; }

compare 0
asked 1
