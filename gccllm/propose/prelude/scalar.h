/*
 * scalar.h: remainders without divisions, bit counts and positions, and numbers made of many elements by one recurrence.
 */

/* e % m for 0 <= e < 2m: one subtraction, kept where it does not go below zero. */
#define WRAP(e, m)                                                                                                     \
  ({                                                                                                                   \
    __auto_type w_ = (e);                                                                                              \
    __auto_type v_ = w_ - (m);                                                                                         \
    w_ < (m) ? w_ : v_;                                                                                                \
  })

/* S for i from 0 to n - 1, where j is i % k: a counter that starts again. A negative k counts as -k, as % has it. */
#define CYCLE(n, k, S)                                                                                                 \
  ({                                                                                                                   \
    __auto_type d_ = (k);                                                                                              \
    u64 n_ = LEN(n), k_ = d_ < 0 ? -(u64)d_ : (u64)d_;                                                                 \
    for (u64 i = 0; i < n_;) {                                                                                         \
      u64 j = 0, e_ = n_ - i < k_ ? n_ - i : k_;                                                                       \
      do {                                                                                                             \
        S;                                                                                                             \
        i++;                                                                                                           \
      } while (++j < e_);                                                                                              \
    }                                                                                                                  \
  })

/* S for i from 0 to n - 1, where j is (t + i * s) % k; t and s are unsigned, or never below zero. */
#define STRIDE(n, t, s, k, S)                                                                                          \
  ({                                                                                                                   \
    u64 n_ = LEN(n);                                                                                                   \
    if (n_) {                                                                                                          \
      __auto_type d_ = (k);                                                                                            \
      u64 k_ = d_ < 0 ? -(u64)d_ : (u64)d_, j = (t) % k_, s_ = (s) % k_;                                               \
      for (u64 i = 0; i < n_; i++) {                                                                                   \
        S;                                                                                                             \
        j = WRAP(j + s_, k_);                                                                                          \
      }                                                                                                                \
    }                                                                                                                  \
  })

/*
 * What s = (s + E) % m for i = 0 ... n - 1 leaves of s = 0, in 64 bits: E is over i, m at most 2^32. The sum is taken in
 * 128 bits and reduced once; a negative E (whose remainder's sign depends on the order) leads to the plain loop.
 */
#define SUMMOD(n, E, m)                                                                                                \
  ({                                                                                                                   \
    u64 n_ = LEN(n), h_ = 0, t_ = 0;                                                                                   \
    i64 g_ = 0;                                                                                                        \
    for (u64 i = 0; i < n_; i++) {                                                                                     \
      __auto_type e_ = (E);                                                                                            \
      if ((__typeof__(e_))-1 < 0)                                                                                      \
        g_ |= (i64)e_;                                                                                                 \
      t_ += (u64)e_;                                                                                                   \
      if (sizeof(e_) > 4 || sizeof(n) > 4)                                                                             \
        h_ += t_ < (u64)e_;                                                                                            \
    }                                                                                                                  \
    if (g_ < 0) {                                                                                                      \
      i64 s_ = 0;                                                                                                      \
      for (u64 i = 0; i < n_; i++)                                                                                     \
        s_ = (s_ + (i64)(E)) % (i64)(m);                                                                               \
      t_ = (u64)s_;                                                                                                    \
    } else                                                                                                             \
      t_ = (h_ % (u64)(m) * (~0ul % (u64)(m) + 1) + t_ % (u64)(m)) % (u64)(m);                                         \
    t_;                                                                                                                \
  })

/*
 * What h = (h * b + a[i]) % m for every i leaves of h (0 <= h < 2^31), in type T of 64 bits; elements of 8 or 16 bits.
 * Four elements a remainder, eight where b and m are numbers; other b and m, and negative elements, go one by one.
 */
#define POLYMOD(T, h, n, a, b, m)                                                                                      \
  ({                                                                                                                   \
    u64 n_ = LEN(n), i_ = 0, b_ = (u64)(b), m_ = (u64)(m);                                                             \
    T s_ = (T)(h);                                                                                                     \
    if (n_ >= 8 && (b_ | (m_ - 1)) >> 31 == 0) {                                                                       \
      u64 b_2 = b_ * b_ % m_, b_3 = b_2 * b_ % m_, b_4 = b_2 * b_2 % m_;                                               \
      if (__builtin_constant_p(b) && __builtin_constant_p(m)) {                                                        \
        u64 b_5 = b_4 * b_ % m_, b_6 = b_4 * b_2 % m_, b_7 = b_4 * b_3 % m_, b_8 = b_4 * b_4 % m_;                     \
        for (; i_ + 8 <= n_; i_ += 8) {                                                                                \
          __typeof__(&(a)[0]) p_ = (a) + i_;                                                                           \
          if ((p_[0] | p_[1] | p_[2] | p_[3] | p_[4] | p_[5] | p_[6] | p_[7]) < 0)                                     \
            break;                                                                                                     \
          s_ = (T)(((u64)s_ * b_8 + (p_[0] * b_7 + p_[1] * b_6 + p_[2] * b_5 + p_[3] * b_4 + p_[4] * b_3 +             \
                                     p_[5] * b_2 + p_[6] * b_ + p_[7])) %                                              \
                   m_);                                                                                                \
        }                                                                                                              \
      } else                                                                                                           \
        for (; i_ + 4 <= n_; i_ += 4) {                                                                                \
          __typeof__(&(a)[0]) p_ = (a) + i_;                                                                           \
          if ((p_[0] | p_[1] | p_[2] | p_[3]) < 0)                                                                     \
            break;                                                                                                     \
          s_ = (T)(((u64)s_ * b_4 + (p_[0] * b_3 + p_[1] * b_2 + p_[2] * b_ + p_[3])) % m_);                           \
        }                                                                                                              \
    }                                                                                                                  \
    for (; i_ < n_; i_++)                                                                                              \
      s_ = (T)((s_ * (T)(b) + (a)[i_]) % (T)(m));                                                                      \
    s_;                                                                                                                \
  })

/*
 * 1 / m, a little too far from zero: then x * INVERSE(m) truncates to x / m for all x and m of 32 bits, because a
 * quotient that is no integer is at least 1 / m away from the next one.
 */
#define INVERSE(m) (1.0 / (f64)(m) * (1 + 0x1p-51))
typedef f64 vf64 __attribute__((vector_size(W)));
#if W == 64
#define EACH_LOW_ 0, 1, 2, 3, 4, 5, 6, 7
#define EACH_HIGH_ 8, 9, 10, 11, 12, 13, 14, 15
#elif W == 32
#define EACH_LOW_ 0, 1, 2, 3
#define EACH_HIGH_ 4, 5, 6, 7
#else
#define EACH_LOW_ 0, 1
#define EACH_HIGH_ 2, 3
#endif
typedef i32 vh32 __attribute__((vector_size(W / 2)));
INLINE vi32 quotient_i32(vi32 x, f64 r) {
  vf64 p = __builtin_convertvector(__builtin_shufflevector(x, x, EACH_LOW_), vf64) * r;
  vf64 q = __builtin_convertvector(__builtin_shufflevector(x, x, EACH_HIGH_), vf64) * r;
  return (vi32)__builtin_shufflevector(__builtin_convertvector(p, vh32), __builtin_convertvector(q, vh32), EACH_LOW_,
                                       EACH_HIGH_);
}
/* Unsigned numbers as signed ones 2^31 lower, and back as doubles; `same` is all ones for m == 1, where x / m needs it. */
INLINE vu32 quotient_u32(vu32 x, f64 r, u32 same) {
  vi32 s = (vi32)(x ^ 0x80000000u);
  vf64 p = (__builtin_convertvector(__builtin_shufflevector(s, s, EACH_LOW_), vf64) + 0x1p31) * r;
  vf64 q = (__builtin_convertvector(__builtin_shufflevector(s, s, EACH_HIGH_), vf64) + 0x1p31) * r;
  vu32 t = (vu32)__builtin_shufflevector(__builtin_convertvector(p, vh32), __builtin_convertvector(q, vh32), EACH_LOW_,
                                         EACH_HIGH_);
  return (x & same) | (t & ~same);
}
/* x / m and x % m in lanes of 32 bits, m a variable of their type (as C has them; m is not 0). */
#define QUO(x, m)                                                                                                      \
  _Generic((x), vi32: quotient_i32((vi32)(x), INVERSE(m)),                                                             \
           vu32: quotient_u32((vu32)(x), INVERSE((u32)(m)), (u32) - ((u32)(m) == 1)))
#define REM(x, m) ((x) - QUO(x, m) * (m))

/* OP(b) + OP(b * b) + ... up to the power 12, in 64 bits: b is a number up to 40. */
#define P2_(b) ((u64)(b) * (b))
#define P3_(b) (P2_(b) * (b))
#define P4_(b) (P2_(b) * P2_(b))
#define P8_(b) (P4_(b) * P4_(b))
#define POWERS_(b, OP)                                                                                                 \
  (OP((u64)(b)) + OP(P2_(b)) + OP(P3_(b)) + OP(P4_(b)) + OP(P4_(b) * (b)) + OP(P4_(b) * P2_(b)) +                      \
   OP(P4_(b) * P3_(b)) + OP(P8_(b)) + OP(P8_(b) * (b)) + OP(P8_(b) * P2_(b)) + OP(P8_(b) * P3_(b)) +                   \
   OP(P8_(b) * P4_(b)))
#define OVER_(p) ((p) >> (32 - ((__typeof__(u_))-1 < 0)) ? 0 : u_ / (__typeof__(u_))(p))
#define BELOW_(p) ((p) >> 32 ? 0 : u_ >= (u32)(p))
/* Sum of the digits of x, of 32 bits, in base b from 6 to 40: x without b - 1 times each of x / b, x / b / b, ... */
#define DIGITSUM(x, b)                                                                                                 \
  ({                                                                                                                   \
    __auto_type u_ = (x);                                                                                              \
    u_ - ((b) - 1) * POWERS_(b, OVER_);                                                                                \
  })
/* The same in the lanes of x. */
#define DIGITSUMS(b) (x - (E_)((b) - 1) * POWERS_(b, OVER_X_))
#define OVER_X_(p) ((V_){0} + x / (E_)((p) >> 31 ? 1u << 31 : (p)) * (E_)((p) >> 31 == 0))
/* How many digits x has, unsigned, of 32 bits, in base b from 6 to 40; none for 0. */
#define DIGITS(x, b)                                                                                                   \
  ({                                                                                                                   \
    u32 u_ = (x);                                                                                                      \
    (u_ > 0) + POWERS_(b, BELOW_);                                                                                     \
  })
/* Sum of the decimal digits of x, unsigned, of 64 bits: three pieces of nine digits. */
#define DIGITSUM64(x)                                                                                                  \
  ({                                                                                                                   \
    u64 w_ = (x), v_ = w_ / 1000000000;                                                                                \
    DIGITSUM((u32)(w_ - v_ * 1000000000), 10) + DIGITSUM((u32)(v_ % 1000000000), 10) +                                 \
        (v_ / 1000000000 > 9 ? (u32)(v_ / 1000000000) - 9 : (u32)(v_ / 1000000000));                                   \
  })

/* The number of set bits of x. */
#ifdef __POPCNT__
#define POP(x) ({ __auto_type w_ = (x); sizeof(w_) == 8 ? __builtin_popcountll((u64)w_) : __builtin_popcount((u32)w_); })
#else
#define POP(x) ({ __auto_type w_ = (x); ones_((u64)w_ & ~0ul >> (sizeof(w_) == 8 ? 0 : 32)); })
#endif
INLINE i32 ones_(u64 x) {
  x -= (x >> 1) & 0x5555555555555555ul;
  x = (x & 0x3333333333333333ul) + ((x >> 2) & 0x3333333333333333ul);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0ful;
  return (i32)((x * 0x0101010101010101ul) >> 56);
}
/* The number of the highest set bit; of the lowest: x is not 0. */
#define LOG2(x) ({ __auto_type w_ = (x); sizeof(w_) == 8 ? 63 - __builtin_clzll((u64)w_) : 31 - __builtin_clz((u32)w_); })
#define LOW(x) ({ __auto_type w_ = (x); sizeof(w_) == 8 ? __builtin_ctzll((u64)w_) : __builtin_ctz((u32)w_); })
/* Bits needed to write x; 0 for 0. Zeros above the highest bit, below the lowest one; as many as x has bits for 0. */
#define WIDTH(x) ({ __auto_type v_ = (x); v_ ? LOG2(v_) + 1 : 0; })
#define LEADING(x) ({ __auto_type v_ = (x); (i32)sizeof(v_) * 8 - (v_ ? LOG2(v_) + 1 : 0); })
#define TRAILING(x) ({ __auto_type v_ = (x); v_ ? LOW(v_) : (i32)sizeof(v_) * 8; })
/* The smallest power of two that is at least x; 1 for 0. */
#define POW2(x) ({ __auto_type v_ = (x); v_ <= 1 ? 1 : (__typeof__(v_))2 << LOG2(v_ - 1); })
/* The bits of x (32 or 64), or its bytes, in reverse order. */
#define MIRROR(x) ({ __auto_type w_ = (x); (__typeof__(w_))(mirrored_((u64)w_) >> (64 - 8 * sizeof(w_))); })
#define SWAP(x) ({ __auto_type w_ = (x); (__typeof__(w_))(__builtin_bswap64((u64)w_) >> (64 - 8 * sizeof(w_))); })
INLINE u64 mirrored_(u64 x) {
  x = __builtin_bswap64(x);
  x = (x & 0x0f0f0f0f0f0f0f0ful) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0ful);
  x = (x & 0x3333333333333333ul) << 2 | (x >> 2 & 0x3333333333333333ul);
  return (x & 0x5555555555555555ul) << 1 | (x >> 1 & 0x5555555555555555ul);
}
/* The integer square root of x: exact as it comes for 32 bits, one off at most for 64. */
#define ISQRT(x)                                                                                                       \
  ({                                                                                                                   \
    __auto_type w_ = (x);                                                                                              \
    u64 v_ = (u64)(i64)__builtin_sqrt((f64)(i64)w_);                                                                   \
    if (sizeof(w_) == 8)                                                                                               \
      v_ = root_((u64)w_);                                                                                             \
    (__typeof__(w_))v_;                                                                                                \
  })
INLINE u64 root_(u64 x) {
  u64 v = (u64)(i64)__builtin_sqrt((f64)x);
  v = v > 0xfffffffful ? 0xfffffffful : v;
  v -= v * v > x;
  return v;
}
/* The low bits of x put where m has ones; the bits of x where m has ones put together. */
#ifdef __BMI2__
#define DEPOSIT(x, m) __builtin_ia32_pdep_di((u64)(x), (u64)(m))
#define EXTRACT(x, m) __builtin_ia32_pext_di((u64)(x), (u64)(m))
#else
#define DEPOSIT(x, m)                                                                                                  \
  ({                                                                                                                   \
    u64 x_ = (x), r_ = 0;                                                                                              \
    for (u64 m_ = (m); m_; m_ &= m_ - 1, x_ >>= 1)                                                                     \
      r_ |= m_ & -m_ & -(x_ & 1);                                                                                      \
    r_;                                                                                                                \
  })
#define EXTRACT(x, m)                                                                                                  \
  ({                                                                                                                   \
    u64 x_ = (x), r_ = 0, k_ = 0;                                                                                      \
    for (u64 m_ = (m); m_; m_ &= m_ - 1, k_++)                                                                         \
      r_ |= (u64)((x_ & m_ & -m_) != 0) << k_;                                                                         \
    r_;                                                                                                                \
  })
#endif

/* Set bits of every E(x), of every E(x, y), as u64. */
#define POPS(n, a, E) POPS_(n, a, BLOCKS_(a, POPSTEP_, ZERO_, FULL_(E)))
#define POPS2(n, a, b, E) POPS_(n, a, PAIRS_(a, b, POPSTEP_, ZERO_, FULL_(E)))
#define POPSTEP_(s, v) ((s) + SUM_BYTES(byte_ones_((vu8)(v))))
#define POPS_(n, a, LOOP)                                                                                              \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n);                                                                                                   \
    vu64 s_ = {0};                                                                                                     \
    if (n_) {                                                                                                          \
      LOOP                                                                                                             \
      s_ += q_;                                                                                                        \
    }                                                                                                                  \
    FOLDED(s_, ADD_);                                                                                                  \
  })
/* Set bits of each byte: from a table of 16 where there is a shuffle of bytes, else by parallel addition. */
#define NIBBLES_ 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4
INLINE vu8 byte_ones_(vu8 x) {
#if W == 64
  vc t = {NIBBLES_, NIBBLES_, NIBBLES_, NIBBLES_};
  return (vu8)__builtin_ia32_pshufb512_mask(t, (vc)(x & 15), t, ~0ul) +
         (vu8)__builtin_ia32_pshufb512_mask(t, (vc)((vu8)((vu16)x >> 4) & 15), t, ~0ul);
#elif W == 32
  vc t = {NIBBLES_, NIBBLES_};
  return (vu8)__builtin_ia32_pshufb256(t, (vc)(x & 15)) +
         (vu8)__builtin_ia32_pshufb256(t, (vc)((vu8)((vu16)x >> 4) & 15));
#else
  x -= (vu8)((vu16)x >> 1) & 0x55;
  x = (x & 0x33) + ((vu8)((vu16)x >> 2) & 0x33);
  return (x + (vu8)((vu16)x >> 4)) & 0x0f;
#endif
}

/*
 * The half-open halving search for the first of n elements without P(x): an index up to n. No branch on what is found;
 * the places looked at are those of the plain loop, so that arrays that are not sorted give the same.
 */
#define EVEN_(c) __builtin_expect_with_probability((c), 1, 0.5)
#define BOUND(n, a, P)                                                                                                 \
  ({                                                                                                                   \
    u64 l_ = 0, h_ = LEN(n);                                                                                           \
    while (l_ < h_) {                                                                                                  \
      u64 m_ = (l_ + h_) >> 1, u_ = m_ + 1;                                                                            \
      const __typeof__((a)[0]) x = (a)[m_];                                                                            \
      l_ = EVEN_(P) ? u_ : l_;                                                                                         \
      h_ = EVEN_(P) ? h_ : m_;                                                                                         \
    }                                                                                                                  \
    l_;                                                                                                                \
  })

/* The greatest common divisor of x and y, unsigned; the other one where one is 0. */
#define GCD(x, y)                                                                                                      \
  ({                                                                                                                   \
    __auto_type p_ = (x);                                                                                              \
    __auto_type q_ = (y);                                                                                              \
    __typeof__(p_) r_ = p_ | q_;                                                                                       \
    if (p_ && q_) {                                                                                                    \
      i32 k_ = LOW(r_);                                                                                                \
      p_ >>= LOW(p_);                                                                                                  \
      do {                                                                                                             \
        q_ >>= LOW(q_);                                                                                                \
        __typeof__(p_) d_ = q_ - p_, e_ = p_ - q_;                                                                     \
        e_ = q_ < p_ ? e_ : d_;                                                                                        \
        p_ = q_ < p_ ? q_ : p_;                                                                                        \
        q_ = e_;                                                                                                       \
      } while (q_);                                                                                                    \
      r_ = p_ << k_;                                                                                                   \
    }                                                                                                                  \
    r_;                                                                                                                \
  })
