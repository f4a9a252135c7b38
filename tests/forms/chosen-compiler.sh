#!/bin/sh
# GCCLLM_CC: another gcc, by name or by path.
. "$(dirname "$0")/lib.sh"

mkdir other && printf '#!/bin/sh\nexec gcc -DCHOSEN "$@"\n' >other/mygcc && chmod +x other/mygcc
plain() { CC=$top/other/mygcc run plain; }
ours() { GCCLLM_CC=$top/other/mygcc PATH=$top/other:$PATH CC=$LLM run "$1"; }
form() { $CC -dM -E - </dev/null | grep CHOSEN && $CC -O2 -c loop.c; }

compare 0
asked 1
labelled
