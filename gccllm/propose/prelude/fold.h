/*
 * fold.h: counts, sums and extremes of one array or two, and running ones. Any order gives the same bits.
 *
 * Of one array whole aligned blocks are read, the first and the last under a mask. Two arrays are rarely aligned alike,
 * so they are read where they lie, the last vector again under a mask; less than a vector of small elements goes by
 * eight bytes, then one by one. Two accumulators, s_ and q_, take turns. Running folds: see move.h for overlaps.
 */

/* STEP(accumulator, e) for E over the n_ > 0 elements at a, with LIVE(e) where only the bytes in l_ count. */
#define BLOCKS_(a, STEP, LIVE, E)                                                                                      \
  u64 h_ = (u64)(a) % W;                                                                                               \
  const char *p_ = (const char *)(a) - h_;                                                                             \
  i64 r_ = (i64)(h_ + n_ * sizeof(E_));                                                                                \
  __auto_type q_ = s_;                                                                                                 \
  V_ x = AT(p_);                                                                                                       \
  vi8 l_ = live((i64)h_, r_ < W ? r_ : W);                                                                             \
  s_ = STEP(s_, LIVE(E));                                                                                              \
  for (p_ += W, r_ -= W; r_ >= 2 * W; p_ += 2 * W, r_ -= 2 * W) {                                                      \
    x = AT(p_);                                                                                                        \
    s_ = STEP(s_, E);                                                                                                  \
    x = AT(p_ + W);                                                                                                    \
    q_ = STEP(q_, E);                                                                                                  \
  }                                                                                                                    \
  if (r_ >= W) {                                                                                                       \
    x = AT(p_);                                                                                                        \
    s_ = STEP(s_, E);                                                                                                  \
    p_ += W;                                                                                                           \
    r_ -= W;                                                                                                           \
  }                                                                                                                    \
  if (r_ > 0) {                                                                                                        \
    x = AT(p_);                                                                                                        \
    l_ = live(0, r_);                                                                                                  \
    q_ = STEP(q_, LIVE(E));                                                                                            \
  }
/* The same for E over x of a and y of b. */
#define PAIRS_(a, b, STEP, LIVE, E)                                                                                    \
  typedef __typeof__(*(b)) F_;                                                                                         \
  typedef F_ B_ __attribute__((vector_size(W), may_alias, aligned(1)));                                                \
  const E_ *p_ = (a);                                                                                                  \
  const F_ *r_ = (b);                                                                                                  \
  __auto_type q_ = s_;                                                                                                 \
  V_ x;                                                                                                                \
  VECTOR(F_, W) y;                                                                                                     \
  vi8 l_;                                                                                                              \
  if (n_ >= LANES) {                                                                                                   \
    u64 i_ = LANES;                                                                                                    \
    x = ANY(p_);                                                                                                       \
    y = *(const B_ *)r_;                                                                                               \
    s_ = STEP(s_, E);                                                                                                  \
    for (; i_ + 2 * LANES <= n_; i_ += 2 * LANES) {                                                                    \
      x = ANY(p_ + i_);                                                                                                \
      y = *(const B_ *)(r_ + i_);                                                                                      \
      s_ = STEP(s_, E);                                                                                                \
      x = ANY(p_ + i_ + LANES);                                                                                        \
      y = *(const B_ *)(r_ + i_ + LANES);                                                                              \
      q_ = STEP(q_, E);                                                                                                \
    }                                                                                                                  \
    if (i_ + LANES <= n_) {                                                                                            \
      x = ANY(p_ + i_);                                                                                                \
      y = *(const B_ *)(r_ + i_);                                                                                      \
      s_ = STEP(s_, E);                                                                                                \
      i_ += LANES;                                                                                                     \
    }                                                                                                                  \
    if (i_ < n_) {                                                                                                     \
      x = ANY(p_ + n_ - LANES);                                                                                        \
      y = *(const B_ *)(r_ + n_ - LANES);                                                                              \
      l_ = live((i64)(W - (n_ - i_) * sizeof(E_)), W);                                                                 \
      q_ = STEP(q_, LIVE(E));                                                                                          \
    }                                                                                                                  \
  } else {                                                                                                             \
    if (sizeof(E_) < 4) {                                                                                              \
      l_ = live(0, 8);                                                                                                 \
      EIGHTS_(n_ >= EIGHT_) {                                                                                          \
        x = (V_)LOW_(p_);                                                                                              \
        y = (__typeof__(y))LOW_(r_);                                                                                   \
        s_ = STEP(s_, LIVE(E));                                                                                        \
        n_ -= EIGHT_, p_ += EIGHT_, r_ += EIGHT_;                                                                      \
      }                                                                                                                \
    }                                                                                                                  \
    for (l_ = live(0, sizeof(E_)); n_; n_ = LANES > 2 ? n_ - 1 : 0) {                                                  \
      x = (V_){*p_++};                                                                                                 \
      y = (__typeof__(y)){*r_++};                                                                                      \
      s_ = STEP(s_, LIVE(E));                                                                                          \
    }                                                                                                                  \
  }
/* Elements in eight bytes, and those at p as the lowest lanes of a vector. */
#define EIGHT_ (8 / sizeof(E_))
/* While less than a vector is left of which eight bytes may be taken: once at most where a vector has sixteen. */
#if W == 16
#define EIGHTS_(more) if (more)
#else
#define EIGHTS_(more) while (more)
#endif
typedef u64 near_ __attribute__((may_alias, aligned(1)));
#define LOW_(p) ((vu64){*(const near_ *)(p)})
#define FULL_(e) ((V_){0} + (e))
#define ZERO_(e) ((V_)((vi8)(e) & l_))
#define REST_(e) ((V_)(((vi8)(e) & l_) | ((vi8)v_ & ~l_)))

/* How many of n elements have P(x); of n pairs P(x, y). */
#define COUNT(n, a, P) COUNT_(n, a, BLOCKS_(a, TALLY_, LANE_, P))
#define COUNT2(n, a, b, P) COUNT_(n, a, PAIRS_(a, b, TALLY_, LANE_, P))
#define LANE_(e) ((vi8)(e) & l_)
/* Every byte of a lane that counts is 255, and a lane has as many as its element; lanes of 8 bytes are -1 at once. */
#if W == 64
#define TALLY_(s, m) ((s) + (vu64){ONES(BITS(m))})
#define UNIT_ sizeof(E_)
#else
#define TALLY_(s, m) (sizeof(E_) == 8 ? (s) - (vu64)(m) : (s) + SUM_BYTES(m))
#define UNIT_ (sizeof(E_) == 8 ? 1 : 255 * sizeof(E_))
#endif
#define COUNT_(n, a, LOOP)                                                                                             \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n);                                                                                                   \
    vu64 s_ = {0};                                                                                                     \
    if (n_) {                                                                                                          \
      LOOP                                                                                                             \
      s_ += q_;                                                                                                        \
    }                                                                                                                  \
    FOLDED(s_, ADD_) / UNIT_;                                                                                   \
  })

/* What 64-bit lanes of the bytes, words or double words of v add up to; signed ones are shifted up by BIAS_. */
#define WIDE_(s, v)                                                                                                    \
  ({                                                                                                                   \
    vu64 w_ = (vu64)(v);                                                                                               \
    if (sizeof(E_) == 1)                                                                                               \
      w_ = SUM_BYTES(w_);                                                                                              \
    if (sizeof(E_) == 2)                                                                                               \
      w_ = (w_ & 0x0000ffff0000fffful) + ((w_ >> 16) & 0x0000ffff0000fffful);                                          \
    if (sizeof(E_) == 2 || sizeof(E_) == 4)                                                                            \
      w_ = (w_ & 0xfffffffful) + (w_ >> 32);                                                                           \
    (s) + w_;                                                                                                          \
  })
#define BIAS_ ((E_)-1 < (E_)0 ? (E_)(1ul << (8 * sizeof(E_) - 1)) : (E_)0)
/* Words to double words, two at a time; unsigned ones are shifted down by TILT_ to be signed. */
typedef VECTOR(short, W) vw_;
#if W == 64
#define ADDED_(v) __builtin_ia32_pmaddwd512_mask((vw_)(v), (vw_){0} + 1, (VECTOR(int, W)){0}, (u16)-1)
#elif W == 32
#define ADDED_(v) __builtin_ia32_pmaddwd256((vw_)(v), (vw_){0} + 1)
#else
#define ADDED_(v) __builtin_ia32_pmaddwd128((vw_)(v), (vw_){0} + 1)
#endif
#define WORDS_(s, v) ((s) + (vu32)ADDED_(v))
#define TILT_ ((E_)-1 < (E_)0 ? (E_)0 : (E_)0x8000)
/* The sum of E(x), or E(x, y), in type A; E itself is computed in the type of the elements. */
#define SUM(A, n, a, E)                                                                                                \
  SUM_(A, n, a, BLOCKS_(a, ADD_, ZERO_, FULL_(E)), BLOCKS_(a, WORDS_, ZERO_, FULL_(E) ^ TILT_),                        \
       BLOCKS_(a, WIDE_, ZERO_, FULL_(E) ^ BIAS_))
#define SUM2(A, n, a, b, E)                                                                                            \
  SUM_(A, n, a, PAIRS_(a, b, ADD_, ZERO_, FULL_(E)), PAIRS_(a, b, WORDS_, ZERO_, FULL_(E) ^ TILT_),                    \
       PAIRS_(a, b, WIDE_, ZERO_, FULL_(E) ^ BIAS_))
#define SUM_(A, n, a, SAME, DOUBLE, WIDER)                                                                             \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), c_ = n_;                                                                                          \
    A t_ = 0;                                                                                                          \
    if (n_ && sizeof(A) <= sizeof(E_)) {                                                                               \
      V_ s_ = {0};                                                                                                     \
      SAME                                                                                                             \
      s_ += q_;                                                                                                        \
      t_ = (A)FOLDED(s_, ADD_);                                                                                        \
    } else if (n_ && sizeof(A) == 4 && sizeof(E_) == 2) {                                                              \
      vu32 s_ = {0};                                                                                                   \
      DOUBLE                                                                                                           \
      s_ += q_;                                                                                                        \
      t_ = (A)(FOLDED(s_, ADD_) + c_ * (u64)TILT_);                                                                    \
    } else if (n_) {                                                                                                   \
      vu64 s_ = {0};                                                                                                   \
      WIDER                                                                                                            \
      s_ += q_;                                                                                                        \
      t_ = (A)(FOLDED(s_, ADD_) - c_ * (u64)(BIAS_ ? 1ul << (8 * sizeof(E_) - 1) : 0));                                \
    }                                                                                                                  \
    t_;                                                                                                                \
  })
/* Every E(x) under exclusive or. */
#define XORS(n, a, E) EXTREME_(0, n, a, BLOCKS_(a, XOR_, REST_, FULL_(E)), XOR_)
/* i and every E(x) under a bitwise operation that may repeat i, or the larger (smaller) of them; the same for pairs. */
#define ORS(i, n, a, E) EXTREME_(i, n, a, BLOCKS_(a, OR_, REST_, FULL_(E)), OR_)
#define ANDS(i, n, a, E) EXTREME_(i, n, a, BLOCKS_(a, AND_, REST_, FULL_(E)), AND_)
#define MAX(i, n, a, E) EXTREME_(i, n, a, BLOCKS_(a, MAX_, REST_, FULL_(E)), MAX_)
#define MIN(i, n, a, E) EXTREME_(i, n, a, BLOCKS_(a, MIN_, REST_, FULL_(E)), MIN_)
#define MAX2(i, n, a, b, E) EXTREME_(i, n, a, PAIRS_(a, b, MAX_, REST_, FULL_(E)), MAX_)
#define MIN2(i, n, a, b, E) EXTREME_(i, n, a, PAIRS_(a, b, MIN_, REST_, FULL_(E)), MIN_)
#define EXTREME_(i, n, a, LOOP, OP)                                                                                    \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n);                                                                                                   \
    E_ t_ = (E_)(i);                                                                                                   \
    if (n_) {                                                                                                          \
      V_ v_ = (V_){0} + t_, s_ = v_;                                                                                   \
      LOOP                                                                                                             \
      s_ = OP(s_, q_);                                                                                                 \
      t_ = FOLDED(s_, OP);                                                                                             \
    }                                                                                                                  \
    t_;                                                                                                                \
  })

/* The larger or smaller of each pair of lanes; one instruction where the target has one. */
#define CHOOSE_(p, q, op)                                                                                              \
  ({                                                                                                                   \
    __auto_type p_1 = (p);                                                                                             \
    __auto_type q_1 = (q);                                                                                             \
    __auto_type c_1 = p_1 op q_1;                                                                                      \
    (__typeof__(p_1))((c_1 & (__typeof__(c_1))p_1) | (~c_1 & (__typeof__(c_1))q_1));                                   \
  })
#if W == 32
#define LANEWISE_(name, op, sb, ub, sw, uw, sd, ud)                                                                    \
  INLINE vi8 name##_i8(vi8 p, vi8 q) { return (vi8)__builtin_ia32_p##sb##256((vc)p, (vc)q); }                          \
  INLINE vu8 name##_u8(vu8 p, vu8 q) { return (vu8)__builtin_ia32_p##ub##256((vc)p, (vc)q); }                          \
  INLINE vi16 name##_i16(vi16 p, vi16 q) { return (vi16)__builtin_ia32_p##sw##256((VECTOR(short, 32))p, (VECTOR(short, 32))q); }\
  INLINE vu16 name##_u16(vu16 p, vu16 q) { return (vu16)__builtin_ia32_p##uw##256((VECTOR(short, 32))p, (VECTOR(short, 32))q); }\
  INLINE vi32 name##_i32(vi32 p, vi32 q) { return (vi32)__builtin_ia32_p##sd##256((VECTOR(int, 32))p, (VECTOR(int, 32))q); }\
  INLINE vu32 name##_u32(vu32 p, vu32 q) { return (vu32)__builtin_ia32_p##ud##256((VECTOR(int, 32))p, (VECTOR(int, 32))q); }\
  INLINE vi64 name##_i64(vi64 p, vi64 q) { return CHOOSE_(p, q, op); }                                                 \
  INLINE vu64 name##_u64(vu64 p, vu64 q) { return CHOOSE_(p, q, op); }
#else
#define LANEWISE_(name, op, sb, ub, sw, uw, sd, ud)                                                                    \
  INLINE vi8 name##_i8(vi8 p, vi8 q) { return CHOOSE_(p, q, op); }                                                     \
  INLINE vu8 name##_u8(vu8 p, vu8 q) { return CHOOSE_(p, q, op); }                                                     \
  INLINE vi16 name##_i16(vi16 p, vi16 q) { return CHOOSE_(p, q, op); }                                                 \
  INLINE vu16 name##_u16(vu16 p, vu16 q) { return CHOOSE_(p, q, op); }                                                 \
  INLINE vi32 name##_i32(vi32 p, vi32 q) { return CHOOSE_(p, q, op); }                                                 \
  INLINE vu32 name##_u32(vu32 p, vu32 q) { return CHOOSE_(p, q, op); }                                                 \
  INLINE vi64 name##_i64(vi64 p, vi64 q) { return CHOOSE_(p, q, op); }                                                 \
  INLINE vu64 name##_u64(vu64 p, vu64 q) { return CHOOSE_(p, q, op); }
#endif
LANEWISE_(max, >, maxsb, maxub, maxsw, maxuw, maxsd, maxud)
LANEWISE_(min, <, minsb, minub, minsw, minuw, minsd, minud)
#define BY_TYPE_(name, p, q)                                                                                           \
  _Generic((p), vi8: name##_i8, vu8: name##_u8, vi16: name##_i16, vu16: name##_u16, vi32: name##_i32,                  \
           vu32: name##_u32, vi64: name##_i64, vu64: name##_u64)(p, q)
#define MAX_(p, q) BY_TYPE_(max, p, q)
#define MIN_(p, q) BY_TYPE_(min, p, q)
/* The larger and the smaller of two, and the size of one, lane by lane; numbers count for every lane. */
#define LARGER(p, q) MAX_((__typeof__(x)){0} + (p), (__typeof__(x)){0} + (q))
#define SMALLER(p, q) MIN_((__typeof__(x)){0} + (p), (__typeof__(x)){0} + (q))
#define ABS(p) LARGER(p, -(p))

/* Lanes moved up by `bytes` inside each 16 bytes, zeros below; and lane sums of the 16 bytes before. */
#if W == 64
#define UP_(v, bytes) ((V_)__builtin_ia32_pslldq512((VECTOR(long long, 64))(v), 8 * (bytes)))
#elif W == 32
#define UP_(v, bytes) ((V_)__builtin_ia32_pslldqi256((VECTOR(long long, 32))(v), 8 * (bytes)))
#else
#define UP_(v, bytes) ((V_)__builtin_ia32_pslldqi128((VECTOR(long long, 16))(v), 8 * (bytes)))
#endif
/* Lane i becomes lane i - bytes / size, but no lane below the first. */
#define LOWER_(bytes) (BYTE_NUMBERS >= (i8)(bytes))
#define SHIFTED_(v, bytes)                                                                                             \
  ((V_)__builtin_shuffle((vi8)(v), ((BYTE_NUMBERS - (i8)(bytes)) & LOWER_(bytes)) |                                    \
                                       ((BYTE_NUMBERS & (i8)(sizeof(E_) - 1)) & ~LOWER_(bytes))))
#define TOP_(v)                                                                                                        \
  ((V_)__builtin_shuffle((vi8)(v), (BYTE_NUMBERS & (i8)(sizeof(E_) - 1)) + (i8)(W - sizeof(E_))))
/* Each lane of 16 bytes or more: the last lane of the 16 bytes before, or zeros. */
#define BEFORE_(v, bytes)                                                                                              \
  ((V_)((vi8)__builtin_shuffle((vi8)(v), (((BYTE_NUMBERS & (i8) - (bytes)) - 1) & (i8)(W - sizeof(E_))) +              \
                                             (BYTE_NUMBERS & (i8)(sizeof(E_) - 1))) &                                  \
        ((BYTE_NUMBERS & (i8)(bytes)) != 0)))
/* o[i] = t, where t starts as i and each E(x) is added to it first; the last t. */
#define SUMS(i, n, o, a, E)                                                                                            \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    const E_ *p_ = (const E_ *)(a);                                                                                    \
    E_ *o_ = (E_ *)(o), t_ = (E_)(i);                                                                                  \
    V_ x;                                                                                                              \
    if (!AFTER_(o_, p_)) {                                                                                             \
      V_ c_ = {0};                                                                                                     \
      c_ += t_;                                                                                                        \
      for (; i_ + LANES <= n_; i_ += LANES) {                                                                          \
        x = ANY(p_ + i_);                                                                                              \
        V_ s_ = (V_)(E);                                                                                               \
        if (sizeof(E_) <= 1)                                                                                           \
          s_ += UP_(s_, 1);                                                                                            \
        if (sizeof(E_) <= 2)                                                                                           \
          s_ += UP_(s_, 2);                                                                                            \
        if (sizeof(E_) <= 4)                                                                                           \
          s_ += UP_(s_, 4);                                                                                            \
        s_ += UP_(s_, 8);                                                                                              \
        if (W >= 32)                                                                                                   \
          s_ += BEFORE_(s_, 16);                                                                                       \
        if (W >= 64)                                                                                                   \
          s_ += BEFORE_(s_, 32);                                                                                       \
        PUT_(o_ + i_, s_ + c_);                                                                                        \
        c_ += TOP_(s_);                                                                                                \
      }                                                                                                                \
      t_ = c_[0];                                                                                                      \
    }                                                                                                                  \
    for (; i_ < n_; i_++) {                                                                                            \
      x = (V_){p_[i_]};                                                                                                \
      o_[i_] = t_ += ((V_)(E))[0];                                                                                     \
    }                                                                                                                  \
    t_;                                                                                                                \
  })
/* o[i] = the larger (smaller) of i and every E(x) so far. */
#define MAXES(i, n, o, a, E) RUNNING_(i, n, o, a, E, MAX_)
#define MINS(i, n, o, a, E) RUNNING_(i, n, o, a, E, MIN_)
#define RUNNING_(i, n, o, a, E, OP)                                                                                    \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    const E_ *p_ = (const E_ *)(a);                                                                                    \
    E_ *o_ = (E_ *)(o), t_ = (E_)(i);                                                                                  \
    V_ x;                                                                                                              \
    if (!AFTER_(o_, p_)) {                                                                                             \
      V_ c_ = {0};                                                                                                     \
      c_ += t_;                                                                                                        \
      for (; i_ + LANES <= n_; i_ += LANES) {                                                                          \
        x = ANY(p_ + i_);                                                                                              \
        V_ s_ = (V_)(E);                                                                                               \
        if (sizeof(E_) <= 1)                                                                                           \
          s_ = OP(s_, SHIFTED_(s_, 1));                                                                                \
        if (sizeof(E_) <= 2)                                                                                           \
          s_ = OP(s_, SHIFTED_(s_, 2));                                                                                \
        if (sizeof(E_) <= 4)                                                                                           \
          s_ = OP(s_, SHIFTED_(s_, 4));                                                                                \
        s_ = OP(s_, SHIFTED_(s_, 8));                                                                                  \
        if (W >= 32)                                                                                                   \
          s_ = OP(s_, SHIFTED_(s_, 16));                                                                               \
        if (W >= 64)                                                                                                   \
          s_ = OP(s_, SHIFTED_(s_, 32));                                                                               \
        s_ = OP(s_, c_);                                                                                               \
        PUT_(o_ + i_, s_);                                                                                             \
        c_ = TOP_(s_);                                                                                                 \
      }                                                                                                                \
      t_ = c_[0];                                                                                                      \
    }                                                                                                                  \
    for (; i_ < n_; i_++) {                                                                                            \
      x = (V_){p_[i_]};                                                                                                \
      x = OP((V_)(E), (V_){t_});                                                                                       \
      o_[i_] = t_ = x[0];                                                                                              \
    }                                                                                                                  \
    t_;                                                                                                                \
  })
