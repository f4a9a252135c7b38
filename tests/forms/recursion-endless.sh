#!/bin/sh
# A wrapper that calls us for ever, and nothing else to call.
. "$(dirname "$0")/lib.sh"

mkdir wrap && printf '#!/bin/sh\nexec "%s" "$@"\n' "$LLM" >wrap/gcc && chmod +x wrap/gcc
form() { PATH=$top/wrap $CC -O2 -c loop.c; }

ours ours
[ "$(cat ours.status)" = 127 ] || fail "exit status $(cat ours.status)"
grep -q 'leads back to gcc-llm' ours.err || fail "$(cat ours.err)"
