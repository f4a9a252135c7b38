"""Answers for benchmark kernels, by hand, out of the prelude's macros: what a model that knows them all would say.

Covered: the kernels whose idea some macro has. Not covered: trees, lists, state machines, tables that are written.
"""

from __future__ import annotations

ANSWERS = {
    "all_positive": "return FIND(b, a, x < 0) >= LEN(b);",
    "anagram": (
        "i32 t[256] = {0}; for (; *a; a++) t[(u8)*a]++; for (; *b; b++) t[(u8)*b]--; "
        "return FIND(256, t, x != 0) == 256;"
    ),
    "argmax_i32": "if (b <= 1) return 0; i32 m = MAX(*a, b, a, x); return FINDZ(a, x == m);",
    "binary_search": (
        "i32 s = 0, t = b - 1; while (s <= t) { i32 m = s + (t - s) / 2; if (a[m] == c) return m; "
        "i32 k = a[m] < c; s = k ? m + 1 : s; t = k ? t : m - 1; } return -1;"
    ),
    "bubble_sort": "SORT(b, a, x > y);",
    "caesar": (
        "u64 k = FINDZ(a, x == 0); "
        "PUT(k, a, IN(97, 25) | IN(65, 25), SEL(IN(97, 25), ROTATE(97, 26, b), ROTATE(65, 26, b)));"
    ),
    "clamp_i32": "WHERE(b, a, a, (x < c) | (x > d), SEL(x < c, c, d));",
    "coin_change": (
        "FILL((i64)c + 1, d, 0); *d = 1; for (i32 i = 0; i < b; i++) LAGMOD((i64)c + 1, d, a[i], 1000000007); "
        "return d[c];"
    ),
    "cond_sum": "return SUM(i64, b, a, SEL(x > 127, x, 0));",
    "count_byte_n": "return COUNT(b, a, x == c);",
    "count_words": "u64 k = FINDZ(a, x == 0); return RUNS(k, a, (x != 32) & (x != 10) & (x != 9));",
    "crc32_bitwise": "return ~CRCR(4294967295, b, a, 3988292384);",
    "digit_sum": "return DIGITSUM(a, 10);",
    "djb2": "u64 k = FINDZ(a, x == 0); return HASH(5381u, k, a, 33);",
    "dot_i32": "return SUM2(i32, c, a, b, x * y);",
    "fib_mod": (
        "i32 s = 0, t = 1; for (u64 i = LEN(a); i; i--) { i32 k = WRAP(s + t, 1000000007); s = t; t = k; } return s;"
    ),
    "filter_gt": "return KEEP(b, d, a, x > c);",
    "hamming_dist": "return POPS2(c, a, b, x ^ y);",
    "insertion_sort": "SORT(b, a, x > y);",
    "json_skip_ws": "u64 k = FINDZ(a, ~((x == 9) | (x == 10) | (x == 13) | (x == 32))); return a + k;",
    "kadane": (
        "i32 s = *a, m = s; for (i32 i = 1; i < b; i++) { s = (s > 0 ? s : 0) + a[i]; m = s > m ? s : m; } return m;"
    ),
    "lcg_fill": "RECUR(c, 1664525, 1013904223, b, a, x);",
    "log2_loop": "return LOG2(a | 1);",
    "lz_copy": "MAP(c, a, b, x);",
    "matmul_f64": "DOTS(a, a, a, d[i * a], 0, b[i * a + k], c[k * a], s + x * y);",
    "matmul_ikj_f32": "DOTSADD(a, a, a, d[i * a], b[i * a + k], c[k * a], s + x * y);",
    "matmul_mod": "DOTSINMOD(a, a, a, d[i * 8], 1000000007, b[i * 8 + k], c[k * 8], (s + x * y) % 1000000007);",
    "max_i32": "return MAX(*a, b, a, x);",
    "memchr_loop": "u64 k = FIND(c, a, EQ(b)); return k < c ? a + k : 0;",
    "memcmp_loop": "u64 k = FIND2(c, a, b, x != y); return k < c ? (a[k] < b[k] ? -1 : 1) : 0;",
    "modpow_const": (
        "i64 s = 1; for (; b > 0; b >>= 1) { i64 t = s * a % 1000000007; s = b & 1 ? t : s; a = a * a % 1000000007; } "
        "return s;"
    ),
    "pair_sum_count": "return PAIRS(b, a, x + y == c);",
    "poly_hash_mod": "u64 k = FINDZ(a, x == 0); return POLYMOD(i64, 0, k, a, b, c);",
    "popcnt_swar": "return POPS(b, a, x);",
    "prefix_sum": "SUMS(0, c, b, a, x);",
    "reverse_array": "REVERSE(b, a);",
    "saxpy": "MAP2(a, d, c, d, b * x + y);",
    "selection_sort": (
        "for (i64 i = 0; i < b; i++) { i32 m = MIN(a[i], b - i - 1, a + i + 1, x); "
        "if (m < a[i]) { u64 k = FINDZ(a + i, x == m); a[i + k] = a[i]; a[i] = m; } }"
    ),
    "strcmp_loop": "u64 k = FIND2Z(a, b, (x != y) | (x == 0)); return (u8)a[k] - (u8)b[k];",
    "strided_sum": "i64 s = 0; for (i64 i = 0; i < b; i += c) s += a[i]; return s;",
    "strrev": "u64 k = FINDZ(a, x == 0); REVERSE(k, a);",
    "sum_i32": "return SUM(i32, b, a, x);",
    "sum_i32_to_i64": "return SUM(i64, b, a, x);",
    "sum_mod_var": "return SUM(i64, b, a, REM(x, c));",
    "sum_u8": "return SUM(u32, b, a, x);",
    "sumprod_modconst": "return SUMMOD(c, (i64)a[i] * b[i], 1000000007);",
    "to_lower_n": "MAP(c, a, b, SEL(IN(65, 25), x + 32, x));",
    "to_upper": "u64 k = FINDZ(a, x == 0); PUT(k, a, IN(97, 25), x - 32);",
    "xor_cipher": "KEYED(b, a, a, d < 0 ? -d : d, c, x ^ y);",
}

REFUSED = {
    # All elements are looked at, also behind the first negative one, where the plain loop never comes.
    "all_positive": ("return COUNT(b, a, x < 0) == 0;", ("faulted", "stray_read")),
    # Bytes that are no letters are stored too, as they were.
    "to_upper": ("u64 k = FINDZ(a, x == 0); MAP(k, a, a, SEL(IN(97, 25), x - 32, x));", ("stray_store",)),
    # From the end on: not the same where the output begins inside the input.
    "lz_copy": ("for (i64 i = (i64)c - 1; i >= 0; i--) a[i] = b[i];", ("wrong_memory", "wrong_value")),
}
"""Answers that compute the right thing in most cases, and the reasons why they are none: labels of `Reason`."""
