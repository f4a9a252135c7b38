#!/bin/sh
# -v with a source prints the assembler's path and COMPILER_PATH: ours stands there, and nothing else differs.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -v -c loop.c; }
plain() {
    CC=gcc run plain
    sed -i 's#^ /[^ ]*as -v # as -v #' plain.err # some gccs print its path
}
ours() {
    CC=$LLM run "$1"
    sed -i -e "s#$PREFIX/libexec/gccllm/as#as#" -e "s#$PREFIX/libexec/gccllm/:##" "$1.err"
}

compare 0
asked 0
