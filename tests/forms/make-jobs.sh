#!/bin/sh
# make -j2 with a jobserver.
. "$(dirname "$0")/lib.sh"

need make

form() { printf 'CFLAGS = -O2\nprogram: loop.o main.o plain.o\n\t$(CC) $(LDFLAGS) $^ -o $@\n' >Makefile && make -s -j2 CC="$CC" && ./program; }

compare 0
asked 2
labelled
