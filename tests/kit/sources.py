# ruff: noqa: E501 (programs in C keep their lines)
"""Small programs in C and C++ whose assembly shows each construction that gcc prints, and the flags to print it under.

`c_sources(n)` and `cpp_sources(n)` give the same programs in variations by number, so that any count can be had.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

FLAGS: tuple[tuple[str, ...], ...] = (
    ("-O3",),
    ("-O2",),
    ("-O1",),
    ("-O0",),
    ("-Os",),
    ("-O3", "-fPIC"),
    ("-O3", "-fno-pic"),
    ("-O2", "-fPIE", "-g"),
    ("-O3", "-g3", "-gdwarf-4"),
    ("-O3", "-g", "-gsplit-dwarf"),
    ("-O2", "-g1", "-fno-var-tracking-assignments"),
    ("-O3", "-march=native"),
    ("-O3", "-march=x86-64-v3", "-mprefer-vector-width=256"),
    ("-O3", "-march=x86-64-v4", "-g"),
    ("-O3", "-fcf-protection=full", "-fstack-protector-strong"),
    ("-O2", "-fstack-protector-all", "-fPIC"),
    ("-O3", "-ffunction-sections", "-fdata-sections", "-fPIC", "-fcf-protection"),
    ("-O3", "-ffunction-sections", "-fdata-sections", "-fno-pic", "-g"),
    ("-O3", "-fno-asynchronous-unwind-tables"),
    ("-O3", "-fno-omit-frame-pointer", "-mno-red-zone"),
    ("-O2", "-fno-plt", "-fPIC"),
    ("-O3", "-funroll-loops", "-fno-inline", "-g2"),
    ("-O3", "-fno-reorder-blocks-and-partition", "-fno-jump-tables"),
    ("-O2", "-fverbose-asm", "-fno-ipa-ra"),
    ("-O3", "-fvisibility=hidden", "-fno-common", "-mcmodel=small", "-fno-stack-clash-protection"),
    ("-O2", "-D_FORTIFY_SOURCE=2", "-fstack-clash-protection"),
)

_SWITCH = """
int act@(int, long); extern int seen@;
int pick@(int x, long y) {
  switch (x) {
    case 0: return y * 3; case 1: return act@(y, 5); case 2: return (int)y ^ x; case 3: seen@ += 2; return 4;
    case 4: return y / 7; case 5: return y << 3; case 6: return act@(1, y) + 1; case @K: return -1;
  }
  return 9;
}
const char *name@(unsigned x) {
  switch (x) { case 0: return "zero"; case 1: return "one"; case 2: return "two\\n\\t\\"q\\""; case 3: return "three";
               case 4: return "four;"; case 5: return "# five"; }
  return "many /* no comment */";
}
int weigh@(unsigned x) {
  switch (x) { case 0: return 17; case 1: return 4; case 2: return 99; case 3: return -5; case 4: return 8; default: return 0; }
}
"""
_FLOATS = """
double poly@(const double *a, int n) { double s = 0.5; for (int i = 0; i < n; i++) s = s * 1.25 + a[i] * @K.0; return s; }
float dot@(const float *a, const float *b, int n) { float s = 0; for (int i = 0; i < n; i++) s += a[i] * b[i]; return s; }
void scale@(float *restrict a, int n) { for (int i = 0; i < n; i++) a[i] = a[i] * 3.5f + 1.0f; }
double most@(double x, double y) { return x > y ? x : -y; }
long double far@(long double x) { return x * 3.25L + 1; }
int round@(double x) { return (int)(x + 0.5); }
"""
_LOOPS = """
void add@(int *a, const int *b, int n) { for (int i = 0; i < n; i++) a[i] += b[i] * @K; }
int count@(const char *s, char c) { int n = 0; for (; *s; s++) n += *s == c; return n; }
unsigned sum@(const unsigned char *p, long n) { unsigned s = 1; while (n--) s = (s << 5) ^ *p++; return s; }
void sort@(int *a, int n) {
  for (int i = 1; i < n; i++) { int v = a[i], j = i; while (j && a[j - 1] > v) { a[j] = a[j - 1]; j--; } a[j] = v; }
}
void mat@(double (*a)[8], double (*b)[8], double (*c)[8]) {
  for (int i = 0; i < 8; i++) for (int j = 0; j < 8; j++) for (int k = 0; k < 8; k++) c[i][j] += a[i][k] * b[k][j];
}
"""
_STRUCTS = """
struct p@ { int x; short y; double z; struct p@ *next; char tag[@K]; };
double walk@(struct p@ *l) { double s = 0; for (; l; l = l->next) s += l->x * l->z + l->tag[1]; return s; }
struct p@ make@(int x) { struct p@ r = {x, 2, 3.0, 0, "ab"}; return r; }
struct b@ { unsigned a : 3, b : 7, c : 22; };
int bits@(struct b@ v) { return v.a + v.b * 2 - v.c; }
union u@ { float f; unsigned i; };
unsigned raw@(float f) { union u@ v = {f}; return v.i; }
"""
_STATICS = """
static int table@[] = {1, 2, 3, @K, 5, 6, 7, 8};
static int zeroed@[64]; int shared@ = 7; const int fixed@[4] = {9, 8, 7, 6}; int tentative@;
static const char *const words@[] = {"alpha", "beta", "gamma"};
int (*hook@)(int);
int use@(int i) { static int calls; calls++; zeroed@[i & 63] += table@[i & 7]; return calls + zeroed@[(i * 7) & 63] + shared@; }
const char *word@(int i) { return words@[i % 3]; }
void set@(int i) { table@[i & 7]++; tentative@ = i; }
int through@(int x) { return hook@ ? hook@(x) + 1 : fixed@[x & 3]; }
"""
_CALLS = """
void fail@(const char *, int) __attribute__((noreturn, cold)); int get@(void *); void *take@(long);
static __attribute__((noinline)) long inner@(long a, long b, long c) { return a * b - c / (b | 1); }
long outer@(long *v, int n) { long s = 0; for (int i = 0; i < n; i++) { if (v[i] < 0) fail@("negative", i); s += inner@(v[i], s, @K); } return s; }
long fib@(long n) { return n < 2 ? n : fib@(n - 1) + fib@(n - 2); }
int tail@(void *p) { return get@(p); }
long eight@(long a, long b, long c, long d, long e, long f, long g, long h) { return a + g * h - f + (b ^ c) * (d | e); }
void *keep@(long n) { char *p = take@(n); for (long i = 0; i < n; i++) p[i] = get@(p + i); return p; }
"""
_STACK = """
#include <stdarg.h>
#include <string.h>
void fill@(char *, int); int big@(int n) { char b[@K * 64]; fill@(b, n); return b[n & 63]; }
int vla@(int n) { int a[n]; fill@((char *)a, n); int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
int va@(int n, ...) { va_list l; va_start(l, n); int s = 0; while (n--) s += va_arg(l, int); va_end(l); return s; }
void aligned@(float *p) { float v[16] __attribute__((aligned(64))); fill@((char *)v, 9); for (int i = 0; i < 16; i++) p[i] = v[i]; }
int aligned_args@(long a, long b, long c, long d, long e, long f, long g, long *q) {
  float v[16] __attribute__((aligned(64))); fill@((char *)v, g); long s = 0; for (long i = 0; i < g; i++) s += q[i] * a; return v[3] + s + b; }
void copy@(char *d, const char *s) { char t[300]; memcpy(t, s, 300); memset(d, 0, 77); memcpy(d + 77, t, 300); }
"""
_ODD = """
__thread int tls@; extern __thread int other@; _Thread_local static long mine@;
int tick@(void) { mine@ += 3; return ++tls@ + other@; }
int barrier@(int *p) { int a = *p; __asm__ volatile("" ::: "memory"); return a + *p; }
int swapped@(int x) { __asm__("bswapl %0" : "+r"(x)); return x; }
int atomic@(int *p) { return __atomic_fetch_add(p, @K, __ATOMIC_SEQ_CST); }
int label@(int *c) { static void *const t[] = {&&a, &&b, &&z}; int n = 0; goto *t[*c++]; a: n++; goto *t[*c++]; b: n += 3; goto *t[*c++]; z: return n; }
__attribute__((weak)) int weak@(int x) { return x + 1; }
__attribute__((visibility("hidden"))) int hidden@(int x) { return x + 2; }
int real@(int x) { return x * 3; } extern int also@(int) __attribute__((alias("real@")));
__attribute__((constructor)) static void start@(void) { tls@ = 4; }
__attribute__((hot)) int warm@(int x) { return x - @K; } __attribute__((cold)) int chill@(int x) { return x / @K; }
__attribute__((section(".custom.text"))) int placed@(int x) { return x ^ 1; }
__attribute__((target_clones("avx2", "default"))) int clones@(int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
__int128 wide@(__int128 a, long b) { return a * b + @K; }
"""
_TOP_ASM = """
__asm__(".globl raw_asm@\\n\\t.type raw_asm@, %function\\nraw_asm@:\\n\\tmovl $@K, %eax\\n1:\\tret\\n\\t.size raw_asm@, .-raw_asm@");
int raw_asm@(void); int call_raw@(void) { return raw_asm@() + 1; }
__asm__(".pushsection .note.mine@,\\"a\\"; .long 4, 4, 1; .asciz \\"abc\\"; .popsection");
int after@(int x) { return x + call_raw@(); }
"""

C = (_SWITCH, _FLOATS, _LOOPS, _STRUCTS, _STATICS, _CALLS, _STACK, _ODD, _TOP_ASM)

_CLASSES = """
struct Shape@ { virtual ~Shape@() {} virtual double area() const = 0; int tag = @K; };
struct Box@ : Shape@ { double w, h; Box@(double a, double b) : w(a), h(b) {} double area() const override { return w * h; } };
double total@(Shape@ *const *s, int n) { double t = 0; for (int i = 0; i < n; i++) t += s[i]->area(); return t; }
Shape@ *build@(double a) { return new Box@(a, 2.5); }
inline int shared_inline@(int x) { static int calls; return ++calls + x; }
int use_inline@(int x) { return shared_inline@(x) + shared_inline@(x + 1); }
"""
_THROWS = """
struct Guard@ { int *p; ~Guard@() { ++*p; } }; int may@(int); struct Oops@ { int code; };
int tries@(int x) { try { return may@(x); } catch (const Oops@ &o) { return o.code; } catch (...) { return -@K; } }
int guarded@(int *p, int x) { Guard@ g{p}; return may@(x) + may@(x + 1); }
void thrower@(int x) { if (x > @K) throw Oops@{x}; }
int never@(int x) noexcept { return may@(x); }
"""
_TEMPLATES = """
template <class T, int N> struct Vec@ { T v[N]; T &operator[](int i) { return v[i]; } };
template <class T, int N> __attribute__((noinline)) T sum(Vec@<T, N> &a) { T s{}; for (int i = 0; i < N; i++) s += a[i]; return s; }
double go@(Vec@<double, @K> &a, Vec@<int, 9> &b) { return sum(a) + sum(b); }
template <class F> int each(int n, F f) { int s = 0; for (int i = 0; i < n; i++) s += f(i); return s; }
int lambdas@(int n, int k) { return each(n, [k](int i) { return i * k; }) + each(n, [](int i) { switch (i % 6) { case 0: return 1; case 1: return 5; case 2: return i; case 3: return 8; case 4: return i * i; } return 2; }); }
namespace n@ { thread_local int t = may_be(); int f() { return t++; } }
"""
CPP = (_CLASSES, _THROWS, "int may_be();" + _TEMPLATES)


def _numbered(template: str, n: int) -> str:
    return template.replace("@K", str(7 + n % 23)).replace("@", str(n))


def c_sources(count: int) -> Iterator[str]:
    """`count` C programs."""
    for n, template in zip(range(count), itertools.cycle(C), strict=False):
        yield _numbered(template, n)


def cpp_sources(count: int) -> Iterator[str]:
    """`count` C++ programs."""
    for n, template in zip(range(count), itertools.cycle(CPP), strict=False):
        yield _numbered(template, n)


def units(copies: int = 1) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(language, source, flags): every program under every set of flags, in `copies` variations."""
    c, cpp = tuple(c_sources(len(C) * copies)), tuple(cpp_sources(len(CPP) * copies))
    for copy in range(copies):
        for flags in FLAGS:
            for source in c[copy * len(C) : (copy + 1) * len(C)]:
                yield "c", source, flags
            for source in cpp[copy * len(CPP) : (copy + 1) * len(CPP)]:
                yield "c++", source, flags


def corpus() -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """(language, file, flags) of C and C++ files under the folder that GCCLLM_CORPUS names, each with all flags."""
    folder = os.environ.get("GCCLLM_CORPUS")
    for path in sorted(Path(folder).rglob("*.c*")) if folder else ():
        for flags in FLAGS:
            yield ("c" if path.suffix == ".c" else "c++"), path, flags


C_EXAMPLES = tuple(c_sources(len(C)))
CPP_EXAMPLES = tuple(cpp_sources(len(CPP)))
