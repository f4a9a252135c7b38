#!/bin/sh
# An installation without its engine is gcc.
. "$(dirname "$0")/lib.sh"

mkdir -p broken/bin && cp -r "$PREFIX/libexec" broken/ && cp "$LLM" broken/bin/
ours() { GCCLLM_ENGINE= CC=$top/broken/bin/gcc-llm run "$1"; }
form() { $CC -O2 -c loop.c; }

compare 0
asked 0
