#!/bin/sh
# @file in an @file.
. "$(dirname "$0")/lib.sh"

form() { echo '-c loop.c @inner' >outer && echo '-O2 -o out.o' >inner && $CC @outer; }

compare 0
asked 1
labelled
