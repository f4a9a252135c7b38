#!/bin/sh
# No PATH at all: gcc's own default.
. "$(dirname "$0")/lib.sh"

form() { unset PATH; case $CC in /*) ;; *) CC=/usr/bin/$CC ;; esac; $CC -O2 -c loop.c; }

compare 0
asked 1
labelled
