#!/bin/sh
# What distributions add.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -g -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -fcf-protection -Wformat -Werror=format-security -fPIE -Wdate-time -c main.c; }

compare 0
asked 1
labelled
