#!/bin/sh
# -MMD -MF -MT -MP, as build systems call it.
. "$(dirname "$0")/lib.sh"

form() { mkdir deps && $CC -O2 -MMD -MP -MF deps/x.d -MT 'odd target' -MQ 'o$d' -c main.c -o out.o; }

compare 0
asked 1
labelled
