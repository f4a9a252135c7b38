#!/bin/sh
# cc1 killed: gcc reports an internal error, and gcc 16 ends by the same signal.
. "$(dirname "$0")/lib.sh"

form() { mkdir b && printf '#!/bin/sh\nkill -SEGV $$\n' >b/cc1 && chmod +x b/cc1 && $CC -O2 -Bb/ -c loop.c 2>/dev/null; }

plain
status=$(cat plain.status)
[ "$status" = 4 ] || [ "$status" = 139 ] || fail "gcc itself ended with $status"
compare "$status"
asked 0
