#!/bin/sh
# -I, -isystem, -iquote, -idirafter, together and apart.
. "$(dirname "$0")/lib.sh"

form() {
    mkdir i && echo '#define N 3' >i/n.h && echo '#include <n.h>
    int f(int k) { int s = 0; while (k-- > N) s ^= k * s + 1; return s; }' >inc.c && $CC -O2 -Ii -I i -isystem i -iquote i -idirafter i -c inc.c
}

compare 0
asked 1
labelled
