#!/bin/sh
# What the assembler refuses, it refuses in gcc's words.
. "$(dirname "$0")/lib.sh"

form() {
    echo 'int f(int n) { int s = 0; for (int i = 0; i < n; i++) { s += i; __asm__("bogus %eax"); } return s; }' >bad.c
    $CC -O2 -c bad.c
}

compare 1
asked 1
