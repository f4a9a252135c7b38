#!/bin/sh
# What the assembler warns about is said once.
. "$(dirname "$0")/lib.sh"

form() {
    echo 'int f(int n) { int s = 0; for (int i = 0; i < n; i++) { s += i; __asm__ volatile(".warning \"careful\"" : "+r"(s)); } return s; }' >w.c
    $CC -O2 -c w.c
}

compare 0
asked 1
ours again
GCCLLM_ENGINE=$forms/engine-label ours again
same plain again
diff -r plain again >&2 || fail "a text that makes the assembler speak was kept"
