#!/bin/sh
# No gcc anywhere: one line, exit 127.
. "$(dirname "$0")/lib.sh"

form() { PATH=$top/home $CC -O2 -c loop.c; }

ours ours
[ "$(cat ours.status)" = 127 ] || fail "exit status $(cat ours.status)"
[ "$(wc -l <ours.err)" = 1 ] || fail "$(cat ours.err)"
grep -q '^gcc-llm: error: no gcc found' ours.err || fail "$(cat ours.err)"
