/*
 * pairs.h: two sequences walked together until something is found: two arrays, two strings, neighbours, both ends.
 *
 * Two pointers are rarely aligned alike. Each step therefore ends at the nearer of the two W-byte block ends, and loads
 * the W bytes before that end from both sides: the lanes of an earlier step are known not to match, and no block is
 * read before the element at its start is reached. The lanes before the start are masked away.
 */

/* From vector p, which holds an array from byte `lies` on, one that holds it from byte `wanted` >= lies on. */
#if W == 32
#define LATER_(p, lies, wanted)                                                                                        \
  ({                                                                                                                   \
    vi8 from_ = BYTE_NUMBERS - (i8)((wanted) - (lies));                                                                \
    vc low_ = (vc)__builtin_shuffle((vi64)p, (vi64){0, 1, 0, 1});                                                      \
    vc high_ = (vc)__builtin_shuffle((vi64)p, (vi64){2, 3, 2, 3});                                                     \
    (V_)(__builtin_ia32_pshufb256(low_, (vc)(from_ + 112)) | __builtin_ia32_pshufb256(high_, (vc)(from_ - 16)));       \
  })
#else
#define LATER_(p, lies, wanted)                                                                                        \
  ({                                                                                                                   \
    V_ t_[2] = {p, p};                                                                                                 \
    ANY((const char *)(t_ + 1) - ((wanted) - (lies)));                                                                 \
  })
#endif

/* The walk: GO(k) loads y from element k on, y lies g_ bytes into its block of W, q_ into its block of 64. */
#define WALK2_(a, GO, g_, q_, P, MORE, FOUND)                                                                          \
  u64 h_ = (u64)(a) % W, u_ = h_ > (g_) ? h_ : (g_), v_ = h_ < (g_) ? h_ : (g_);                                       \
  u64 s_ = u_ == v_ ? W : u_ - v_, o_ = u_ == v_ ? 2 * W : W, e_ = (W - u_) / sizeof(E_);                              \
  bits l_ = ~(bits)0 << u_, later_ = ~(bits)0 << (u_ == v_ ? 0 : v_);                                                  \
  V_ x, y;                                                                                                             \
  s_ /= sizeof(E_);                                                                                                    \
  o_ /= sizeof(E_);                                                                                                    \
  if ((u64)(a) % 64 < u_ | (q_) < u_) {                                                                                \
    x = AT((const char *)(a) - h_);                                                                                    \
    y = GO(-(i64)((g_) / sizeof(E_)));                                                                                 \
    x = LATER_(x, h_, u_);                                                                                             \
    y = LATER_(y, g_, u_);                                                                                             \
  } else {                                                                                                             \
    x = ANY((const char *)(a) - u_);                                                                                   \
    y = GO(-(i64)(u_ / sizeof(E_)));                                                                                   \
  }                                                                                                                    \
  for (;;) {                                                                                                           \
    bits m_ = BITS(P) & l_;                                                                                            \
    if (m_) {                                                                                                          \
      FOUND(e_ - LANES + FIRST(m_) / sizeof(E_));                                                                      \
      break;                                                                                                           \
    }                                                                                                                  \
    MORE;                                                                                                              \
    e_ += s_;                                                                                                          \
    s_ = o_ - s_;                                                                                                      \
    l_ = later_;                                                                                                       \
    later_ = ~(bits)0;                                                                                                 \
    x = ANY((a) + (e_ - LANES));                                                                                       \
    y = GO((i64)(e_ - LANES));                                                                                         \
  }
#define AHEAD_(k) ANY(b_ + (k))
#define BELOW_N_(k) f_ = (k) < n_ ? (k) : n_
#define EXACT_(k) f_ = (k)

/* Index of the first of n pairs a[i], b[i] with P(x, y); n when there is none. */
#define FIND2(n, a, b, P)                                                                                              \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    const E_ *a_ = (a), *b_ = (const E_ *)(b);                                                                         \
    u64 n_ = LEN(n), f_ = n_;                                                                                          \
    if (n_) {                                                                                                          \
      WALK2_(a_, AHEAD_, (u64)b_ % W, (u64)b_ % 64, P, if (e_ >= n_) break, BELOW_N_)                                  \
    }                                                                                                                  \
    f_;                                                                                                                \
  })

/* Index of the first pair a[i], b[i] with P(x, y), where one is known to exist, and both are read up to it. */
#define FIND2Z(a, b, P)                                                                                                \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    const E_ *a_ = (a), *b_ = (const E_ *)(b);                                                                         \
    u64 f_;                                                                                                            \
    WALK2_(a_, AHEAD_, (u64)b_ % W, (u64)b_ % 64, P, , EXACT_)                                                         \
    f_;                                                                                                                \
  })

/* The elements of a vector in reverse order. */
#define FLIPPED_(v)                                                                                                    \
  ((V_)__builtin_shuffle((vi8)(v), (vi8)((W - 1 - BYTE_NUMBERS) ^ (i8)(sizeof(E_) - 1))))
#define BACK_(k) FLIPPED_(ANY(b_ - (k) - LANES))

/* Index of the first a[i] (i < n / 2) that has P with its mirror image: y is a[n - 1 - i]; n when there is none. */
#define ENDS(n, a, P)                                                                                                  \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    const E_ *a_ = (a);                                                                                                \
    u64 w_ = LEN(n), n_ = w_ / 2, f_ = w_;                                                                             \
    if (n_) {                                                                                                          \
      const E_ *b_ = a_ + w_;                                                                                          \
      f_ = n_;                                                                                                         \
      WALK2_(a_, BACK_, -(u64)b_ % W, -(u64)b_ % 64, P, if (e_ >= n_) break, BELOW_N_)                                 \
      f_ = f_ < n_ ? f_ : w_;                                                                                          \
    }                                                                                                                  \
    f_;                                                                                                                \
  })

/* Index of the first of the neighbours a[i], a[i + 1] (i + 1 < n) with P(x, y); n when there are none. */
#define NEXT(n, a, P)                                                                                                  \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), f_ = n_;                                                                                          \
    if (n_ > 1) {                                                                                                      \
      u64 h_ = (u64)(a) % W;                                                                                           \
      const char *p_ = (const char *)(a) - h_;                                                                         \
      const char *q_ = p_;                                                                                             \
      i64 i_ = -(i64)(h_ / sizeof(E_));                                                                                \
      V_ x = AT(p_), y = (V_)__builtin_shuffle((vi8)x, (vi8)((BYTE_NUMBERS + (i8)sizeof(E_)) & (W - 1)));              \
      bits m_ = BITS(P) >> h_ << h_ & ((bits)1 << (W - sizeof(E_))) - 1;                                               \
      for (;;) {                                                                                                       \
        if (m_) {                                                                                                      \
          u64 k_ = (u64)(q_ + FIRST(m_) - (const char *)(a)) / sizeof(E_);                                             \
          f_ = k_ < n_ - 1 ? k_ : n_;                                                                                  \
          break;                                                                                                       \
        }                                                                                                              \
        i_ += LANES;                                                                                                   \
        if ((u64)i_ >= n_)                                                                                             \
          break;                                                                                                       \
        p_ += W;                                                                                                       \
        q_ = p_ - sizeof(E_);                                                                                          \
        y = AT(p_);                                                                                                    \
        x = ANY(q_);                                                                                                   \
        m_ = BITS(P);                                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    f_;                                                                                                                \
  })
