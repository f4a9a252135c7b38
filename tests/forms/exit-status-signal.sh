#!/bin/sh
# cc1 killed: gcc reports an internal error.
. "$(dirname "$0")/lib.sh"

form() { mkdir b && printf '#!/bin/sh\nkill -SEGV $$\n' >b/cc1 && chmod +x b/cc1 && $CC -O2 -Bb/ -c loop.c 2>/dev/null; }

compare 4
asked 0
