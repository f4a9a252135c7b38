#!/bin/sh
# GCCLLM_OPT=keep: the level stays, at every level for speed, and no function relies on more of another than the ABI.
. "$(dirname "$0")/lib.sh"

export GCCLLM_OPT=keep
plain() { CC=gcc; LAST="-fno-ipa-ra -fno-ipa-stack-alignment"; run plain; }
ours() { CC=$LLM; LAST=; run "$1"; }
form() {
    cat >reliant.c <<'C'
__attribute__((noinline)) static long inner(const long *p, long n) { long s = 0; for (long i = 0; i < n; i++) s += p[i] * n; return s; }
long outer(const long *p, long n, long k) { return inner(p, n) * k; }
C
    for o in -O -O2 -O3 -Ofast --optimize=2; do $CC $o $LAST -c reliant.c -o "x$o.o" || return 1; done
}

compare 0
asked 5
