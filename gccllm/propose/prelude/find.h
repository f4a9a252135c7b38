/*
 * find.h: loops that end early. Whole aligned blocks are read, and no block after the one that holds the answer.
 */

/* Index of the first of n elements with P(x); n when there is none. */
#define FIND(n, a, P)                                                                                                  \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), f_ = n_;                                                                                          \
    if (n_) {                                                                                                          \
      u64 h_ = (u64)(a) % W;                                                                                           \
      const char *p_ = (const char *)(a) - h_;                                                                         \
      i64 i_ = -(i64)(h_ / sizeof(E_));                                                                                \
      V_ x = AT(p_);                                                                                                   \
      bits m_ = BITS(P) >> h_ << h_;                                                                                   \
      for (;;) {                                                                                                       \
        if (m_) {                                                                                                      \
          u64 k_ = (u64)i_ + FIRST(m_) / sizeof(E_);                                                                   \
          f_ = k_ < n_ ? k_ : n_;                                                                                      \
          break;                                                                                                       \
        }                                                                                                              \
        i_ += LANES;                                                                                                   \
        if ((u64)i_ >= n_)                                                                                             \
          break;                                                                                                       \
        p_ += W;                                                                                                       \
        x = AT(p_);                                                                                                    \
        m_ = BITS(P);                                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    f_;                                                                                                                \
  })

/* Index of the first element with P(x), where one is known to exist (a terminator is among P). */
#define FINDZ(a, P)                                                                                                    \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 h_ = (u64)(a) % W;                                                                                             \
    const char *p_ = (const char *)(a) - h_;                                                                           \
    V_ x = AT(p_);                                                                                                     \
    bits m_ = BITS(P) >> h_ << h_;                                                                                     \
    while (!m_) {                                                                                                      \
      p_ += W;                                                                                                         \
      x = AT(p_);                                                                                                      \
      m_ = BITS(P);                                                                                                    \
    }                                                                                                                  \
    (u64)(p_ + FIRST(m_) - (const char *)(a)) / sizeof(E_);                                                            \
  })
