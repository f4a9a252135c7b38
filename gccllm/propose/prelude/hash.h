/*
 * hash.h: one number made of many bytes or elements: polynomials, sums of sums, cyclic redundancy checks.
 */

/*
 * h * b + a[i] for every i, from h on, wrapping in the type of h (32 or 64 bits). Eight elements a step, by powers of b;
 * 32 bits in two vectors of 32-bit lanes where there is a multiplication of such lanes.
 */
#define HASH(h, n, a, b)                                                                                               \
  ({                                                                                                                   \
    __auto_type s_ = (h);                                                                                              \
    typedef __typeof__(s_) H_;                                                                                         \
    const __typeof__((a)[0]) *p_ = (a);                                                                                \
    u64 n_ = LEN(n);                                                                                                   \
    const H_ b_ = (H_)(b), b_2 = b_ * b_, b_3 = b_2 * b_, b_4 = b_2 * b_2;                                             \
    HASH_WIDE_(a)                                                                                                      \
    for (; n_ >= 4; n_ -= 4, p_ += 4)                                                                                  \
      s_ = s_ * b_4 + ((H_)p_[0] * b_3 + (H_)p_[1] * b_2 + ((H_)p_[2] * b_ + (H_)p_[3]));                              \
    for (; n_; n_--)                                                                                                   \
      s_ = s_ * b_ + (H_)*p_++;                                                                                        \
    s_;                                                                                                                \
  })
/* Lane k of x_ (of y_) collects the elements 16 i + k (16 i + 8 + k); powers of b put them together in the end. */
typedef i32 v8i __attribute__((vector_size(32)));
#if W >= 32
#define HASH_WIDE_(a)                                                                                                  \
  if (sizeof(H_) == 4 && sizeof(*p_) <= 4 && n_ >= 32) {                                                               \
    typedef __typeof__((a)[0]) A_ __attribute__((vector_size(8 * sizeof(*p_)), may_alias, aligned(1)));                \
    v8i x_ = {0}, y_ = {0, 0, 0, 0, 0, 0, 0, (i32)s_};                                                                 \
    const v8i f_ = {(i32)(b_4 * b_3), (i32)(b_4 * b_2), (i32)(b_4 * b_), (i32)b_4, (i32)b_3, (i32)b_2, (i32)b_, 1};    \
    for (; n_ >= 16; n_ -= 16, p_ += 16) {                                                                             \
      x_ = x_ * (i32)(b_4 * b_4 * b_4 * b_4) + __builtin_convertvector(*(const A_ *)p_, v8i);                          \
      y_ = y_ * (i32)(b_4 * b_4 * b_4 * b_4) + __builtin_convertvector(*(const A_ *)(p_ + 8), v8i);                    \
    }                                                                                                                  \
    y_ = (x_ * (i32)(b_4 * b_4) + y_) * f_;                                                                            \
    s_ = (H_)(y_[0] + y_[1] + y_[2] + y_[3] + (y_[4] + y_[5] + y_[6] + y_[7]));                                        \
  }
#else
#define HASH_WIDE_(a)
#endif

/*
 * s = (s + a[i]) % m and t = (t + s) % m for every i, in variables s and t of 32 bits, both below 2^16 + m; elements of
 * 8 or 16 bits, m at most 2^16. Remainders are taken once in 2048 elements, which no sum of these outgrows.
 */
#define FLETCHER(s, t, n, a, m)                                                                                        \
  ({                                                                                                                   \
    u64 n_ = LEN(n), s_ = (s), t_ = (t);                                                                               \
    const __typeof__((a)[0]) *p_ = (a);                                                                                \
    while (n_) {                                                                                                       \
      u64 k_ = n_ < 2048 ? n_ : 2048;                                                                                  \
      n_ -= k_;                                                                                                        \
      FLETCHER_WIDE_(a)                                                                                                \
      for (; k_; k_--) {                                                                                               \
        s_ += *p_++;                                                                                                   \
        t_ += s_;                                                                                                      \
      }                                                                                                                \
      s_ %= (m);                                                                                                       \
      t_ %= (m);                                                                                                       \
    }                                                                                                                  \
    (s) = (u32)s_;                                                                                                     \
    (t) = (u32)t_;                                                                                                     \
  })
/* Of q blocks of 8, x_ has the sums by lane, y_ the sums before each block; element l of a block counts 8 - l more. */
#if W >= 32
#define FLETCHER_WIDE_(a)                                                                                              \
  if (k_ >= 16) {                                                                                                      \
    typedef __typeof__((a)[0]) A_ __attribute__((vector_size(8 * sizeof(*p_)), may_alias, aligned(1)));                \
    v8i x_ = {0}, y_ = {0};                                                                                            \
    t_ += s_ * (k_ & ~7ul);                                                                                            \
    for (; k_ >= 8; k_ -= 8, p_ += 8) {                                                                                \
      y_ += x_;                                                                                                        \
      x_ += __builtin_convertvector(*(const A_ *)p_, v8i);                                                             \
    }                                                                                                                  \
    for (i32 l_ = 0; l_ < 8; l_++) {                                                                                   \
      s_ += (u32)x_[l_];                                                                                               \
      t_ += 8 * (u64)(u32)y_[l_] + (u64)(8 - l_) * (u32)x_[l_];                                                        \
    }                                                                                                                  \
  }
#else
#define FLETCHER_WIDE_(a)
#endif

/*
 * Cyclic redundancy checks of n bytes from state s on. X_ and four octal digits is x to that power modulo the polynomial,
 * a number that the compiler finds: a chain of enumerators, each one shift of the one before. Tables for four bytes a
 * step are made of them, and factors that fold 64 bytes into the next 64 where there are carry-less products.
 * CRCR: reflected (right shifts, polynomial of any width up to 32 as its loop has it). CRC: left shifts, of 32 bits;
 * narrower ones are kept in the high bits.
 */
#define RIGHT_(P, v) (((u32)(v) >> 1) ^ ((u32)(P) & -((u32)(v) & 1)))
#define LEFT_(P, v) (((u32)(v) << 1) ^ ((u32)(P) & -((u32)(v) >> 31)))
#define X8_(N, P, d, q)                                                                                                \
  X_##d##0 = N(P, X_##q##7), X_##d##1 = N(P, X_##d##0), X_##d##2 = N(P, X_##d##1), X_##d##3 = N(P, X_##d##2),          \
  X_##d##4 = N(P, X_##d##3), X_##d##5 = N(P, X_##d##4), X_##d##6 = N(P, X_##d##5), X_##d##7 = N(P, X_##d##6)
#define X64_(N, P, d, q)                                                                                               \
  X8_(N, P, d##0, q##7), X8_(N, P, d##1, d##0), X8_(N, P, d##2, d##1), X8_(N, P, d##3, d##2), X8_(N, P, d##4, d##3),   \
      X8_(N, P, d##5, d##4), X8_(N, P, d##6, d##5), X8_(N, P, d##7, d##6)
#define POWERS_OF_X_(N, P, first)                                                                                      \
  enum {                                                                                                               \
    X_0037 = (first),                                                                                                  \
    X8_(N, P, 004, 003), X8_(N, P, 005, 004), X8_(N, P, 006, 005), X8_(N, P, 007, 006), X64_(N, P, 01, 00),            \
    X64_(N, P, 02, 01), X64_(N, P, 03, 02), X64_(N, P, 04, 03), X64_(N, P, 05, 04), X64_(N, P, 06, 05),                \
    X64_(N, P, 07, 06), X64_(N, P, 10, 07), X8_(N, P, 110, 107)                                                        \
  }
#define T2_(v, a) (v), (v) ^ (a)
#define T8_(v, a, b, c) T2_(v, a), T2_((v) ^ (b), a), T2_((v) ^ (c), a), T2_((v) ^ (b) ^ (c), a)
#define T32_(v, a, b, c, d, e) T8_(v, a, b, c), T8_((v) ^ (d), a, b, c), T8_((v) ^ (e), a, b, c), T8_((v) ^ (d) ^ (e), a, b, c)
#define T256_(a, b, c, d, e, f, g, h)                                                                                  \
  {                                                                                                                    \
    T32_(0u, a, b, c, d, e), T32_((f), a, b, c, d, e), T32_((g), a, b, c, d, e), T32_((f) ^ (g), a, b, c, d, e),       \
        T32_((h), a, b, c, d, e), T32_((f) ^ (h), a, b, c, d, e), T32_((g) ^ (h), a, b, c, d, e),                      \
        T32_((f) ^ (g) ^ (h), a, b, c, d, e)                                                                           \
  }
#define UPWARD_(d) T256_(X_##d##0, X_##d##1, X_##d##2, X_##d##3, X_##d##4, X_##d##5, X_##d##6, X_##d##7)
#define DOWNWARD_(d) T256_(X_##d##7, X_##d##6, X_##d##5, X_##d##4, X_##d##3, X_##d##2, X_##d##1, X_##d##0)
#define CRCR(s, n, a, P)                                                                                               \
  ({                                                                                                                   \
    POWERS_OF_X_(RIGHT_, P, 1u);                                                                                       \
    static const u32 T_[4][256] = {DOWNWARD_(004), DOWNWARD_(005), DOWNWARD_(006), DOWNWARD_(007)};                    \
    crc_right_((u32)(s), LEN(n), (const u8 *)(a), T_, 2ul * X_1040, 2ul * X_0740, 2ul * X_0240, 2ul * X_0140);         \
  })
#define CRC(s, n, a, P)                                                                                                \
  ({                                                                                                                   \
    POWERS_OF_X_(LEFT_, P, 0x80000000u);                                                                               \
    static const u32 T_[4][256] = {UPWARD_(004), UPWARD_(005), UPWARD_(006), UPWARD_(007)};                            \
    crc_left_((u32)(s), LEN(n), (const u8 *)(a), T_, X_1000, X_1100, X_0200, X_0300);                                  \
  })
#define CRC16(s, n, a, P) ((u16)(CRC((u32)(s) << 16, n, a, (u32)(P) << 16) >> 16))
#define CRC8(s, n, a, P) ((u8)(CRC((u32)(s) << 24, n, a, (u32)(P) << 24) >> 24))
typedef long long v2i __attribute__((vector_size(16)));
typedef v2i v2i_any __attribute__((may_alias, aligned(1)));
typedef u32 u32_any __attribute__((may_alias, aligned(1)));
#define RIGHT4_(s) (t[3][(s) & 255] ^ t[2][(s) >> 8 & 255] ^ t[1][(s) >> 16 & 255] ^ t[0][(s) >> 24])
#define LEFT4_(s) (t[0][(s) & 255] ^ t[1][(s) >> 8 & 255] ^ t[2][(s) >> 16 & 255] ^ t[3][(s) >> 24])
/* Vector x, whose halves count `low` and `high`, carried over the next one. */
#define FOLD_(x, k) (__builtin_ia32_pclmulqdq128(x, k, 0x00) ^ __builtin_ia32_pclmulqdq128(x, k, 0x11))
#define FOLDS_(LOAD, first, four, one)                                                                                 \
  v2i x0 = LOAD(p) ^ (first), x1 = LOAD(p + 16), x2 = LOAD(p + 32), x3 = LOAD(p + 48);                                 \
  for (p += 64, n -= 64; n >= 64; p += 64, n -= 64) {                                                                  \
    x0 = FOLD_(x0, (four)) ^ LOAD(p);                                                                                  \
    x1 = FOLD_(x1, (four)) ^ LOAD(p + 16);                                                                             \
    x2 = FOLD_(x2, (four)) ^ LOAD(p + 32);                                                                             \
    x3 = FOLD_(x3, (four)) ^ LOAD(p + 48);                                                                             \
  }                                                                                                                    \
  x0 = FOLD_(x0, (one)) ^ x1;                                                                                          \
  x0 = FOLD_(x0, (one)) ^ x2;                                                                                          \
  x0 = FOLD_(x0, (one)) ^ x3;                                                                                          \
  for (; n >= 16; p += 16, n -= 16)                                                                                    \
    x0 = FOLD_(x0, (one)) ^ LOAD(p);
#define AS_IT_LIES_(p) (*(const v2i_any *)(p))
#define FIRST_BYTE_HIGH_(p) ((v2i)__builtin_ia32_pshufb128(*(const vc16_any *)(p), (vc16){15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}))
typedef char vc16 __attribute__((vector_size(16)));
typedef vc16 vc16_any __attribute__((may_alias, aligned(1)));
INLINE u32 crc_right_(u32 s, u64 n, const u8 *p, const u32 (*t)[256], u64 low4, u64 high4, u64 low, u64 high) {
#ifdef __PCLMUL__
  if (n >= 64) {
    const v2i four = {(i64)low4, (i64)high4}, one = {(i64)low, (i64)high};
    FOLDS_(AS_IT_LIES_, ((v2i){s, 0}), four, one)
    u64 w = (u64)x0[0];
    s = RIGHT4_((u32)w);
    s = RIGHT4_(s ^ (u32)(w >> 32));
    w = (u64)x0[1];
    s = RIGHT4_(s ^ (u32)w);
    s = RIGHT4_(s ^ (u32)(w >> 32));
  }
#endif
  for (; n >= 4; p += 4, n -= 4)
    s = RIGHT4_(s ^ *(const u32_any *)p);
  for (; n; n--)
    s = s >> 8 ^ t[0][(s ^ *p++) & 255];
  return s;
}
INLINE u32 crc_left_(u32 s, u64 n, const u8 *p, const u32 (*t)[256], u64 low4, u64 high4, u64 low, u64 high) {
#if defined __PCLMUL__ && defined __SSSE3__
  if (n >= 64) {
    const v2i four = {(i64)low4, (i64)high4}, one = {(i64)low, (i64)high};
    FOLDS_(FIRST_BYTE_HIGH_, ((v2i){0, (i64)((u64)s << 32)}), four, one)
    u64 w = (u64)x0[1];
    s = LEFT4_((u32)(w >> 32));
    s = LEFT4_(s ^ (u32)w);
    w = (u64)x0[0];
    s = LEFT4_(s ^ (u32)(w >> 32));
    s = LEFT4_(s ^ (u32)w);
  }
#endif
  for (; n >= 4; p += 4, n -= 4)
    s = LEFT4_(s ^ __builtin_bswap32(*(const u32_any *)p));
  for (; n; n--)
    s = s << 8 ^ t[0][(s >> 24 ^ *p++) & 255];
  return s;
}
