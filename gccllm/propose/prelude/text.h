/*
 * text.h: bytes and strings: sets and circles of characters, runs, the last of a kind, changes in place, pairs split
 * and joined.
 */

/* The bytes of t picked by the low four bits of i within each 16 bytes; 0 where i is negative. */
#if W == 64
#define PICK_BYTES_(t, i) ((vu8)__builtin_ia32_pshufb512_mask((vc)(t), (vc)(i), (vc){0}, (u64)-1))
#elif W == 32
#define PICK_BYTES_(t, i) ((vu8)__builtin_ia32_pshufb256((vc)(t), (vc)(i)))
#elif defined __SSSE3__
#define PICK_BYTES_(t, i) ((vu8)__builtin_ia32_pshufb128((vc)(t), (vc)(i)))
#endif
#define BIT_OF_BYTE_ ((vu8)((vu64){0} + 0x8040201008040201ul))
#ifdef PICK_BYTES_
INLINE vi8 inset_(vu8 t, u8 span, u64 mask) {
  vu8 power = PICK_BYTES_(BIT_OF_BYTE_, t);
  return (vi8)((PICK_BYTES_((vu64){0} + mask, t >> 3) & power) == power) & (vi8)(t <= span);
}
#else
#define IS_TERM_(v, k, value) ((vu8)(v == (k)) & (u8)(value))
#define IS_TERMS_(v, E)                                                                                                \
  (IS_TERM_(v, 0, E(0)) | IS_TERM_(v, 1, E(1)) | IS_TERM_(v, 2, E(2)) | IS_TERM_(v, 3, E(3)) | IS_TERM_(v, 4, E(4)) |  \
   IS_TERM_(v, 5, E(5)) | IS_TERM_(v, 6, E(6)) | IS_TERM_(v, 7, E(7)))
#define MASK_BYTE_(k) (mask >> 8 * (k))
#define BIT_POWER_(k) (1 << (k))
INLINE vi8 inset_(vu8 t, u8 span, u64 mask) {
  vu8 high = t >> 3, low = t & 7, power = IS_TERMS_(low, BIT_POWER_);
  return (vi8)((IS_TERMS_(high, MASK_BYTE_) & power) == power) & (vi8)(t <= span);
}
#endif
/* Bytes x with low <= x <= low + span whose bit x - low of mask is set, as gcc's `bt` has it; the rest of the set. */
#define INSET(low, span, mask) inset_((vu8)(x - (E_)(low)), span, (u64)(mask))

/* How many maximal runs of neighbours with P(x) there are among n elements. */
#define RUNS(n, a, P)                                                                                                  \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), s_ = 0;                                                                                           \
    if (n_) {                                                                                                          \
      u64 h_ = (u64)(a) % W;                                                                                           \
      const char *p_ = (const char *)(a) - h_;                                                                         \
      i64 r_ = (i64)(h_ + n_ * sizeof(E_));                                                                            \
      bits l_ = ~(bits)0 << h_, c_ = 0;                                                                                \
      for (;;) {                                                                                                       \
        V_ x = AT(p_);                                                                                                 \
        bits m_ = BITS(P) & l_ & UP_TO_(r_);                                                                           \
        s_ += ONES(m_ & ~(m_ << sizeof(E_) | c_));                                                                     \
        c_ = m_ >> (W - sizeof(E_));                                                                                   \
        r_ -= W;                                                                                                       \
        if (r_ <= 0)                                                                                                   \
          break;                                                                                                       \
        p_ += W;                                                                                                       \
        l_ = ~(bits)0;                                                                                                 \
      }                                                                                                                \
    }                                                                                                                  \
    s_ / sizeof(E_);                                                                                                   \
  })
#define UP_TO_(r) ((r) < W ? ((bits)1 << (r)) - 1 : ~(bits)0)

/* Index of the last of n elements with P(x); n when there is none. Blocks are read from the end on. */
#define FINDLAST(n, a, P)                                                                                              \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), f_ = n_;                                                                                          \
    if (n_) {                                                                                                          \
      u64 h_ = ((u64)((a) + n_) - 1) % W;                                                                              \
      const char *p_ = (const char *)((a) + n_) - 1 - h_;                                                              \
      V_ x = AT(p_);                                                                                                   \
      bits m_ = BITS(P) & ((bits)2 << h_) - 1;                                                                         \
      for (;;) {                                                                                                       \
        if (m_) {                                                                                                      \
          i64 k_ = p_ + LAST(m_) - (const char *)(a);                                                                  \
          f_ = k_ < 0 ? n_ : (u64)k_ / sizeof(E_);                                                                     \
          break;                                                                                                       \
        }                                                                                                              \
        if (p_ <= (const char *)(a))                                                                                   \
          break;                                                                                                       \
        p_ -= W;                                                                                                       \
        x = AT(p_);                                                                                                    \
        m_ = BITS(P);                                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    f_;                                                                                                                \
  })

/* a[i] = E(x) for the bytes with P(x) among n: no other byte is stored. AVX2 has no such store: lane by lane. */
#if W == 64
#define PUT_LANES_(E) __builtin_ia32_storedquqi512_mask((void *)p_, (vc)((V_){0} + (E)), m_)
#else
#define PUT_LANES_(E)                                                                                                  \
  V_ t_ = (V_){0} + (E);                                                                                               \
  for (; m_; m_ &= m_ - 1)                                                                                             \
  p_[FIRST(m_)] = ((char *)&t_)[FIRST(m_)]
#endif
#define PUT(n, a, P, E)                                                                                                \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n);                                                                                                   \
    if (n_) {                                                                                                          \
      u64 h_ = (u64)(a) % W;                                                                                           \
      char *p_ = (char *)(a) - h_;                                                                                     \
      i64 r_ = (i64)(h_ + n_);                                                                                         \
      bits l_ = ~(bits)0 << h_;                                                                                        \
      for (;;) {                                                                                                       \
        V_ x = AT(p_);                                                                                                 \
        bits m_ = BITS(P) & l_ & UP_TO_(r_);                                            \
        PUT_LANES_(E);                                                                                                 \
        r_ -= W;                                                                                                       \
        if (r_ <= 0)                                                                                                   \
          break;                                                                                                       \
        p_ += W;                                                                                                       \
        l_ = ~(bits)0;                                                                                                 \
      }                                                                                                                \
    }                                                                                                                  \
    (void)0;                                                                                                           \
  })

/* The character k places on in the circle of m characters from low: low + (x - low + k) % m, with C's %. */
#define ROTATE(low, m, k)                                                                                              \
  ({                                                                                                                   \
    i32 k_ = (k);                                                                                                      \
    vi8 d_ = (vi8)(x - (E_)(low)) + (i8)(k_ % (m));                                                                    \
    (V_)(d_ + (i8)(low) - ((vi8)(d_ > (i8)(k_ <= -(m) ? 0 : (m)-1)) & (m)));                                           \
  })

/* Whether the p_ bytes at p and the q_ bytes at q have none in common. */
#define APART_(p, p_, q, q_)                                                                                           \
  ((u64)((const char *)(q) - (const char *)(p)) >= (p_) & (u64)((const char *)(p) - (const char *)(q)) >= (q_))
/*
 * Tables of 16 bytes. One that lies inside a block of 64 may be read whole as soon as any entry is; any other, and one
 * that is stored to on the way, is asked entry by entry. `per` bytes are stored for each of n bytes x at a.
 */
#if W == 64
#define TABLE_(t) ((V_)__builtin_shufflevector(*(const Q_ *)(t), *(const Q_ *)(t), 0, 1, 0, 1, 0, 1, 0, 1))
#elif W == 32
#define TABLE_(t) ((V_)__builtin_shufflevector(*(const Q_ *)(t), *(const Q_ *)(t), 0, 1, 0, 1))
#else
#define TABLE_(t) ((V_) * (const Q_ *)(t))
#endif
typedef u64 Q_ __attribute__((vector_size(16), may_alias, aligned(1)));
#ifdef PICK_BYTES_
#define TABLED_(n, o, a, t, per, VECTORS, BYTES)                                                                       \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    const E_ *p_ = (a), *t_ = (const E_ *)(t);                                                                         \
    E_ *o_ = (E_ *)(o);                                                                                                \
    V_ x;                                                                                                              \
    if (n_ >= W & (u64)t_ % 64 <= 48 & APART_(t_, 16, o_, per * n_) &                                                  \
        (APART_(p_, n_, o_, per * n_) | (per == 1 & o_ == p_))) {                                                      \
      V_ w_ = TABLE_(t_), z_ = ANY(p_ + n_ - W);                                                                       \
      for (; i_ + W < n_; i_ += W) {                                                                                   \
        x = ANY(p_ + i_);                                                                                              \
        VECTORS;                                                                                                       \
      }                                                                                                                \
      x = z_;                                                                                                          \
      i_ = n_ - W;                                                                                                     \
      VECTORS;                                                                                                         \
    } else {                                                                                                           \
      for (; i_ < n_; i_++) {                                                                                          \
        x = (V_){p_[i_]};                                                                                              \
        BYTES;                                                                                                         \
      }                                                                                                                \
    }                                                                                                                  \
    (void)0;                                                                                                           \
  })
#else
#define TABLED_(n, o, a, t, per, VECTORS, BYTES)                                                                       \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    const E_ *p_ = (a), *t_ = (const E_ *)(t);                                                                         \
    E_ *o_ = (E_ *)(o);                                                                                                \
    for (; i_ < n_; i_++) {                                                                                            \
      V_ x = (V_){p_[i_]};                                                                                             \
      BYTES;                                                                                                           \
    }                                                                                                                  \
    (void)0;                                                                                                           \
  })
#endif
#define ENTRY_(P) t_[((vu8)(P))[0]]
/* o[i] = t[P(x)], where P is below 16. */
#define TRANSLATE(n, o, a, t, P)                                                                                       \
  TABLED_(n, o, a, t, 1, *(U_ *)(o_ + i_) = (V_)PICK_BYTES_(w_, P), o_[i_] = ENTRY_(P))
/* o[2 * i] = t[P(x)], o[2 * i + 1] = t[Q(x)], where P and Q are below 16. */
#define SPELL(n, o, a, t, P, Q)                                                                                        \
  TABLED_(n, o, a, t, 2, TWO_(PICK_BYTES_(w_, P), PICK_BYTES_(w_, Q)), o_[2 * i_] = ENTRY_(P);                         \
          o_[2 * i_ + 1] = ENTRY_(Q))
#define TWO_(p, q)                                                                                                     \
  vu8 even_ = (p), odd_ = (q);                                                                                         \
  *(U_ *)(o_ + 2 * i_) = (V_)__builtin_shuffle(even_, odd_, HALVES_(0));                                               \
  *(U_ *)(o_ + 2 * i_ + W) = (V_)__builtin_shuffle(even_, odd_, HALVES_(W / 2))
#define HALVES_(k) ((vu8)BYTE_NUMBERS / 2 + ((vu8)BYTE_NUMBERS & 1) * W + (k))
