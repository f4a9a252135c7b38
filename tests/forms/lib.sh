# Sourced by every form. A form is a function `form` that uses $CC (or $CXX) in a directory with the sources below; it
# runs with gcc and with gcc-llm in directories of the same name, so that every file it leaves can be compared.
#
#   compare STATUS   gcc ends with STATUS, and gcc-llm leaves the same files, output, messages and exit status
#   asked N          ... and the shim asked the engine N times: it really was in the way (or was not)
#   labelled         ... and again with an engine that adds a symbol to every function, for outputs that hold code
#   same             outputs and exit status alone, after `run SIDE` with whatever settings the form needs
#
# Given: PREFIX (an installation), an empty working directory. Exit 77: skipped, with the reason.
set -u
forms=$(cd "$(dirname "$0")" && pwd)
PATH=$(printf %s "$PATH" | tr ':' '\n' | grep -v '/ccache$' | paste -sd:)
top=$PWD
LLM=$PREFIX/bin/gcc-llm
HOME=$top/home XDG_CACHE_HOME= XDG_CONFIG_HOME= LC_ALL=C
export GCCLLM_ENGINE="$forms/engine-silent" ENGINE_CALLS="$top/calls" HOME XDG_CACHE_HOME XDG_CONFIG_HOME LC_ALL
export GCCLLM_OPT=untouched
unset GCCLLM_MODE GCCLLM_CC MAKEFLAGS COMPILER_PATH 2>/dev/null
mkdir -p home

fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "SKIP: $*"; exit 77; }
need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

sources() {
    cat >loop.c <<'C'
int sum(const int * a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
C
    cat >main.c <<'C'
#include <stdio.h>
int sum(const int *, int);
int main(void) { int a[] = {1, 2, 3, 4}; int s = 0; for (int i = 0; i < 4; i++) s += sum(a, i); return printf("%d\n", s) < 0; }
C
    cat >plain.c <<'C'
int twice(int x) { return x + x; }
C
    cat >loop.cc <<'C'
#include <stdexcept>
template <class T> T total(const T * a, int n) { T s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
long sum(const long * a, int n) { if (n < 0) throw std::invalid_argument("n"); return total(a, n); }
C
    cat >main.cc <<'C'
#include <iostream>
long sum(const long *, int);
int main() { long a[] = {1, 2, 3}; try { sum(a, -1); } catch (std::exception & e) { std::cout << sum(a, 3) << e.what() << "\n"; } }
C
    cat >hand.s <<'C'
	.text
	.globl	hand
hand:
	movl	$3, %eax
.Lagain:
	decl	%eax
	jne	.Lagain
	ret
	.section	.note.GNU-stack,"",@progbits
C
    { echo '#define COUNT $3'; sed 's/\$3/COUNT/' hand.s; } >hand.S
}

# The form in work/; what it leaves goes to SIDE/, SIDE.out, SIDE.err, SIDE.status.
run() {
    rm -rf work "$1" calls
    : >calls
    mkdir work
    (cd work && sources && form) >"$1.out" 2>"$1.err" </dev/null
    echo $? >"$1.status"
    mv work "$1"
}

plain() { CC=gcc CXX=g++ run plain; }
ours() { CC=$LLM CXX=$PREFIX/bin/g++-llm run "$1"; }

# gcc's temporary files have random names.
steady() { sed -E 's#[^ ]*/cc[A-Za-z0-9]{6}\b#TEMPORARY#g' "$1"; }

same() {
    [ "$(cat "$1.status")" = "$(cat "$2.status")" ] || fail "exit status: $(cat "$1.status") $(cat "$2.status") $(cat "$2.err")"
    for stream in out err; do
        steady "$1.$stream" >"$1.$stream.steady"
        steady "$2.$stream" >"$2.$stream.steady"
        diff "$1.$stream.steady" "$2.$stream.steady" >&2 || fail "$stream differs"
    done
}

compare() {
    plain
    [ "$(cat plain.status)" = "$1" ] || fail "gcc itself ended with $(cat plain.status): $(cat plain.err)"
    ours ours
    same plain ours
    diff -r plain ours >&2 || fail "files differ"
}

asked() { [ "$(wc -l <calls)" = "$1" ] || fail "the engine was asked $(wc -l <calls) times, not $1"; }

labelled() {
    GCCLLM_ENGINE=$forms/engine-label ours labelled
    same plain labelled
    [ "$(cd plain && find . | sort)" = "$(cd labelled && find . | sort)" ] || fail "other files"
    grep -rq gccllm_seen labelled || fail "no output holds the engine's text"
}
