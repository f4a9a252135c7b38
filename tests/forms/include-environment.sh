#!/bin/sh
# CPATH and C_INCLUDE_PATH reach gcc.
. "$(dirname "$0")/lib.sh"

form() { mkdir i && echo '#define sum total' >i/n.h && sed '1i#include <n.h>' loop.c >inc.c && CPATH=i $CC -O2 -c inc.c -o a.o && C_INCLUDE_PATH=i $CC -O2 -c inc.c -o b.o; }

compare 0
asked 2
labelled
