#!/bin/sh
# A sub-make: the jobserver is inherited.
. "$(dirname "$0")/lib.sh"

need make

form() { printf 'all:\n\t+$(MAKE) -s -f Inner CC="$(CC)"\n' >Makefile && printf 'CFLAGS=-O2\nall: loop.o main.o\n' >Inner && make -s -j2 CC="$CC"; }

compare 0
asked 2
labelled
