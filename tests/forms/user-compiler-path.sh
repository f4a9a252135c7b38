#!/bin/sh
# A COMPILER_PATH of the user's: we run the assembler found there.
. "$(dirname "$0")/lib.sh"

form() { mkdir b && printf '#!/bin/sh\necho user >&2\nexec /usr/bin/as "$@"\n' >b/as && chmod +x b/as && COMPILER_PATH=$PWD/b $CC -O2 -c loop.c; }

compare 0
asked 1
