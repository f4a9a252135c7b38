/*
 * move.h: loops that store: maps, reversal, elements kept, recurrences.
 *
 * Vectors are read and stored where they lie, the last one ending at the last element; it is read before the first
 * store, so that a map in place is not applied twice. Less than a vector of small elements goes by eight bytes, then
 * one by one. An output that begins inside the input, so that the plain loop reads back what it stored, goes one by one.
 */

/* Whether o begins inside the n_ elements at a, after the first of them. */
#define AFTER_(o, a) ((u64)((const char *)(o) - (const char *)(a)) - 1 < n_ * sizeof(E_) - 1)
#define PUT_(p, v) (*(U_ *)(p) = (U_)(v))
#define PUT8_(p, v) (*(near_ *)(p) = ((vu64)(V_)(v))[0])

/* o[i] = E(x) for each x = a[i]; o may be a. */
#define MAP(n, o, a, E)                                                                                                \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    const E_ *p_ = (const E_ *)(a);                                                                                    \
    E_ *o_ = (E_ *)(o);                                                                                                \
    V_ x;                                                                                                              \
    int t_ = !AFTER_(o_, p_);                                                                                          \
    if (!t_)                                                                                                           \
      ;                                                                                                                \
    else if (n_ >= LANES) {                                                                                            \
      V_ z_ = ANY(p_ + n_ - LANES);                                                                                    \
      for (; i_ + 2 * LANES < n_; i_ += 2 * LANES) {                                                                   \
        x = ANY(p_ + i_);                                                                                              \
        PUT_(o_ + i_, E);                                                                                              \
        x = ANY(p_ + i_ + LANES);                                                                                      \
        PUT_(o_ + i_ + LANES, E);                                                                                      \
      }                                                                                                                \
      if (i_ + LANES < n_) {                                                                                           \
        x = ANY(p_ + i_);                                                                                              \
        PUT_(o_ + i_, E);                                                                                              \
      }                                                                                                                \
      x = z_;                                                                                                          \
      PUT_(o_ + n_ - LANES, E);                                                                                        \
      i_ = n_;                                                                                                         \
    } else if (sizeof(E_) < 4) {                                                                                       \
      EIGHTS_(i_ + EIGHT_ <= n_) {                                                                                     \
        x = (V_)LOW_(p_ + i_);                                                                                         \
        PUT8_(o_ + i_, E);                                                                                             \
        i_ += EIGHT_;                                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    for (; i_ < n_; i_++) {                                                                                            \
      x = (V_){p_[i_]};                                                                                                \
      o_[i_] = ((V_)(E))[0];                                                                                           \
    }                                                                                                                  \
  })
/* o[i] = E(x, y) for x = a[i], y = b[i]; o may be a or b. */
#define MAP2(n, o, a, b, E)                                                                                            \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    const E_ *p_ = (const E_ *)(a), *r_ = (const E_ *)(b);                                                             \
    E_ *o_ = (E_ *)(o);                                                                                                \
    V_ x, y;                                                                                                           \
    int t_ = !AFTER_(o_, p_) & !AFTER_(o_, r_);                                                                        \
    if (!t_)                                                                                                           \
      ;                                                                                                                \
    else if (n_ >= LANES) {                                                                                            \
      V_ z_ = ANY(p_ + n_ - LANES), w_ = ANY(r_ + n_ - LANES);                                                         \
      for (; i_ + 2 * LANES < n_; i_ += 2 * LANES) {                                                                   \
        x = ANY(p_ + i_);                                                                                              \
        y = ANY(r_ + i_);                                                                                              \
        PUT_(o_ + i_, E);                                                                                              \
        x = ANY(p_ + i_ + LANES);                                                                                      \
        y = ANY(r_ + i_ + LANES);                                                                                      \
        PUT_(o_ + i_ + LANES, E);                                                                                      \
      }                                                                                                                \
      if (i_ + LANES < n_) {                                                                                           \
        x = ANY(p_ + i_);                                                                                              \
        y = ANY(r_ + i_);                                                                                              \
        PUT_(o_ + i_, E);                                                                                              \
      }                                                                                                                \
      x = z_;                                                                                                          \
      y = w_;                                                                                                          \
      PUT_(o_ + n_ - LANES, E);                                                                                        \
      i_ = n_;                                                                                                         \
    } else if (sizeof(E_) < 4) {                                                                                       \
      EIGHTS_(i_ + EIGHT_ <= n_) {                                                                                     \
        x = (V_)LOW_(p_ + i_);                                                                                         \
        y = (V_)LOW_(r_ + i_);                                                                                         \
        PUT8_(o_ + i_, E);                                                                                             \
        i_ += EIGHT_;                                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    for (; i_ < n_; i_++) {                                                                                            \
      x = (V_){p_[i_]};                                                                                                \
      y = (V_){r_[i_]};                                                                                                \
      o_[i_] = ((V_)(E))[0];                                                                                           \
    }                                                                                                                  \
  })
/*
 * o[i] = E(x, y) for x = a[i], y = b[i % k]: a row of k at a time. A short key is repeated in a copy, unless it has
 * bytes in common with o; fewer elements than pay for that go one by one, with a counter.
 */
#define KEYED(n, o, a, k, b, E)                                                                                        \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_1 = LEN(n), k_1 = (u64)(k), i_1 = 0;                                                                         \
    E_ *a_1 = (E_ *)(a), *o_1 = (E_ *)(o), *b_1 = (E_ *)(b), t_1[256 / sizeof(E_)];                                    \
    if ((n_1 >= 256 / sizeof(E_)) & (k_1 <= 128 / sizeof(E_)) &                                                        \
        ((u64)((char *)b_1 - (char *)o_1) + k_1 * sizeof(E_) - 1 >= (n_1 + k_1) * sizeof(E_) - 1)) {                   \
      u64 m_1 = 256 / sizeof(E_) / (u8)k_1 * (u8)k_1, j_1 = 0;                                                         \
      do                                                                                                               \
        t_1[j_1] = b_1[j_1];                                                                                           \
      while (++j_1 < k_1);                                                                                             \
      do                                                                                                               \
        t_1[j_1] = t_1[j_1 - k_1];                                                                                     \
      while (++j_1 < m_1);                                                                                             \
      b_1 = t_1;                                                                                                       \
      k_1 = m_1;                                                                                                       \
    } else if (k_1 < LANES) {                                                                                          \
      for (u64 j_1 = 0; i_1 < n_1; i_1++) {                                                                            \
        V_ x = {a_1[i_1]}, y = {b_1[j_1]};                                                                             \
        o_1[i_1] = ((V_)(E))[0];                                                                                       \
        j_1 = j_1 + 1 == k_1 ? 0 : j_1 + 1;                                                                            \
      }                                                                                                                \
    }                                                                                                                  \
    for (; i_1 < n_1; i_1 += k_1)                                                                                      \
      MAP2(k_1 < n_1 - i_1 ? k_1 : n_1 - i_1, o_1 + i_1, a_1 + i_1, b_1, E);                                           \
  })
/* The same value in each of n elements. */
#define FILL(n, o, c)                                                                                                  \
  ({                                                                                                                   \
    ELEMENT(o);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    E_ *o_ = (o), c_ = (E_)(c);                                                                                        \
    V_ x = {0};                                                                                                        \
    x += c_;                                                                                                           \
    if (n_ >= LANES) {                                                                                                 \
      for (; i_ + LANES < n_; i_ += LANES)                                                                             \
        PUT_(o_ + i_, x);                                                                                              \
      PUT_(o_ + n_ - LANES, x);                                                                                        \
    } else {                                                                                                           \
      for (; i_ < n_; i_ = LANES > 2 ? i_ + 1 : n_)                                                                    \
        o_[i_] = c_;                                                                                                   \
    }                                                                                                                  \
  })

/* Lanes in opposite order. */
#define TURNED_(v) ((V_)__builtin_shuffle((vi8)(v), BYTE_NUMBERS ^ (i8)(W - sizeof(E_))))
#if W > 16
typedef VECTOR(i8, 16) half_;
typedef i8 near_half_ __attribute__((vector_size(16), may_alias, aligned(1)));
/* Of less than four halves from both ends one pair at most can be left. */
#if W == 32
#define HALVES_LEFT_(more) if (more)
#else
#define HALVES_LEFT_(more) while (more)
#endif
#define HALF_TURNED_(v) __builtin_shuffle((v), (half_){IOTA16(0)} ^ (i8)(16 - sizeof(E_)))
#define TURN_HALVES_                                                                                                   \
  HALVES_LEFT_((char *)e_ - (char *)p_ >= 32) {                                                                        \
    half_ s_ = *(near_half_ *)p_, t_ = ((near_half_ *)e_)[-1];                                                         \
    *(near_half_ *)p_ = HALF_TURNED_(t_);                                                                              \
    ((near_half_ *)e_)[-1] = HALF_TURNED_(s_);                                                                         \
    p_ += 16 / sizeof(E_), e_ -= 16 / sizeof(E_);                                                                      \
  }
#else
#define TURN_HALVES_
#endif
/* The n elements of a in opposite order, in place; the middle one of an odd count is not stored. */
#define REVERSE(n, a)                                                                                                  \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    E_ *p_ = (a), *e_ = p_ + LEN(n);                                                                                   \
    for (; (char *)e_ - (char *)p_ >= 2 * W; p_ += LANES, e_ -= LANES) {                                               \
      V_ x = ANY(p_), y = ANY(e_ - LANES);                                                                             \
      PUT_(p_, TURNED_(y));                                                                                            \
      PUT_(e_ - LANES, TURNED_(x));                                                                                    \
    }                                                                                                                  \
    TURN_HALVES_                                                                                                       \
    for (; e_ - p_ >= 2; p_++, e_--) {                                                                                 \
      E_ t_ = *p_;                                                                                                     \
      *p_ = e_[-1];                                                                                                    \
      e_[-1] = t_;                                                                                                     \
      if (sizeof(E_) == 8)                                                                                             \
        break;                                                                                                         \
    }                                                                                                                  \
  })
/* o[i] = E(x) for x = a[n - 1 - i]; one by one where the arrays have bytes in common. */
#define BACKWARD(n, o, a, E)                                                                                           \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    const E_ *p_ = (a);                                                                                                \
    E_ *o_ = (o);                                                                                                      \
    V_ x;                                                                                                              \
    if (n_ >= LANES && (u64)((const char *)o_ - (const char *)p_) + n_ * sizeof(E_) - 1 >= 2 * n_ * sizeof(E_) - 1) {  \
      for (; i_ + 2 * LANES < n_; i_ += 2 * LANES) {                                                                   \
        x = TURNED_(ANY(p_ + n_ - LANES - i_));                                                                        \
        PUT_(o_ + i_, E);                                                                                              \
        x = TURNED_(ANY(p_ + n_ - 2 * LANES - i_));                                                                    \
        PUT_(o_ + i_ + LANES, E);                                                                                      \
      }                                                                                                                \
      if (i_ + LANES < n_) {                                                                                           \
        x = TURNED_(ANY(p_ + n_ - LANES - i_));                                                                        \
        PUT_(o_ + i_, E);                                                                                              \
      }                                                                                                                \
      x = TURNED_(ANY(p_));                                                                                            \
      PUT_(o_ + n_ - LANES, E);                                                                                        \
    } else {                                                                                                           \
      for (; i_ < n_; i_++) {                                                                                          \
        x = (V_){p_[n_ - 1 - i_]};                                                                                     \
        o_[i_] = ((V_)(E))[0];                                                                                         \
      }                                                                                                                \
    }                                                                                                                  \
  })

/* The lanes of x that m marks, together at the front, stored at p; how many there are. */
#if W == 64
#define PACK_(p, m)                                                                                                    \
  ({                                                                                                                   \
    u64 m_1 = BITS(m);                                                                                                 \
    if (sizeof(E_) == 8)                                                                                               \
      PUT_(p, (V_)__builtin_ia32_compressdi512_mask((VECTOR(long long, 64))x, (VECTOR(long long, 64)){0},              \
                                                    (u8)__builtin_ia32_pext_di(m_1, 0x0101010101010101ul)));           \
    else                                                                                                               \
      PUT_(p, (V_)__builtin_ia32_compresssi512_mask((VECTOR(int, 64))x, (VECTOR(int, 64)){0},                          \
                                                    (u16)__builtin_ia32_pext_di(m_1, 0x1111111111111111ul)));          \
    ONES(m_1) / sizeof(E_);                                                                                            \
  })
#define PACKS_ (sizeof(E_) >= 4)
#elif W == 32 && defined __BMI2__
#define PACK_(p, m)                                                                                                    \
  ({                                                                                                                   \
    __auto_type m_1 = (m);                                                                                             \
    u64 k_1 = 0;                                                                                                       \
    if (sizeof(E_) >= 4) {                                                                                             \
      u32 b_1 = BITS(m_1);                                                                                             \
      u64 w_1 = __builtin_ia32_pdep_di(__builtin_ia32_pext_si(0x76543210, b_1), 0x0f0f0f0f0f0f0f0ful);                 \
      vi32 i_1 = (vi32)__builtin_ia32_pmovzxbd256((VECTOR(char, 16))(VECTOR(u64, 16)){w_1});                           \
      PUT_(p, (V_)__builtin_shuffle((vi32)x, i_1));                                                                    \
      k_1 = ONES(b_1) / sizeof(E_);                                                                                    \
    } else {                                                                                                           \
      for (int j_1 = 0; j_1 < 4; j_1++) {                                                                              \
        u64 w_1 = ((vu64)m_1)[j_1];                                                                                    \
        *(near_ *)((p) + k_1) = __builtin_ia32_pext_di(((vu64)x)[j_1], w_1);                                           \
        k_1 += ONES(w_1) / (8 * sizeof(E_));                                                                           \
      }                                                                                                                \
    }                                                                                                                  \
    k_1;                                                                                                               \
  })
#define PACKS_ 1
#else
#define PACK_(p, m) 0ul
#define PACKS_ 0
#endif
/* The elements that m marks, from i_ on, one by one: the first bit of each lane tells. */
#define LANE_STARTS_ ((bits)(~0ul / ((1ul << (sizeof(E_) - 1) << 1) - 1)))
#define TAKE_(m)                                                                                                       \
  for (bits m_ = (m) & LANE_STARTS_; m_; m_ &= m_ - 1)                                                                 \
    o_[k_++] = a_[i_ + FIRST(m_) / sizeof(E_)];
/*
 * The elements with P(x) to the front of o (which may be a), in order; how many there are. Many are counted
 * first: while a whole vector of them is still to come, a whole vector may be stored.
 */
#define KEEP(n, o, a, P)                                                                                               \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_1 = LEN(n), n_ = n_1, i_ = 0, k_ = 0;                                                                        \
    E_ *a_ = (E_ *)(a);                                                                                                \
    E_ *o_ = (E_ *)(o);                                                                                                \
    V_ x;                                                                                                              \
    if (AFTER_(o_, a_)) {                                                                                              \
      for (; i_ < n_; i_++) {                                                                                          \
        x = (V_){a_[i_]};                                                                                              \
        if (BITS(P) & 1)                                                                                               \
          o_[k_++] = a_[i_];                                                                                           \
      }                                                                                                                \
    } else {                                                                                                           \
      if (n_ >= LANES) {                                                                                               \
        u64 c_ = PACKS_ ? COUNT(n_1, a_, P) : 0;                                                                       \
        do {                                                                                                           \
          x = ANY(a_ + i_);                                                                                            \
          if (PACKS_ && k_ + LANES <= c_)                                                                              \
            k_ += PACK_(o_ + k_, P);                                                                                   \
          else                                                                                                         \
            TAKE_(BITS(P))                                                                                             \
          i_ += LANES;                                                                                                 \
        } while (i_ + LANES <= n_);                                                                                    \
      }                                                                                                                \
      if (sizeof(E_) < 4) {                                                                                            \
        EIGHTS_(i_ + EIGHT_ <= n_) {                                                                                   \
          x = (V_)LOW_(a_ + i_);                                                                                       \
          TAKE_(BITS(P) & 255)                                                                                         \
          i_ += EIGHT_;                                                                                                \
        }                                                                                                              \
      }                                                                                                                \
      for (; i_ < n_; i_ = LANES > 2 ? i_ + 1 : n_) {                                                                  \
        x = (V_){a_[i_]};                                                                                              \
        if (BITS(P) & 1)                                                                                               \
          o_[k_++] = a_[i_];                                                                                           \
      }                                                                                                                \
    }                                                                                                                  \
    k_;                                                                                                                \
  })

/* v stored at p in the lanes that m marks, nothing in the others. */
#if W == 64
#define SOME_(p, m, v)                                                                                                 \
  {                                                                                                                    \
    u64 m_1 = BITS(m);                                                                                                 \
    V_ v_1 = FULL_(v);                                                                                                 \
    if (sizeof(E_) == 8)                                                                                               \
      __builtin_ia32_storedqudi512_mask((void *)(p), (VECTOR(long long, 64))v_1,                                       \
                                        (u8)__builtin_ia32_pext_di(m_1, 0x0101010101010101ul));                        \
    else if (sizeof(E_) == 4)                                                                                          \
      __builtin_ia32_storedqusi512_mask((void *)(p), (VECTOR(int, 64))v_1,                                             \
                                        (u16)__builtin_ia32_pext_di(m_1, 0x1111111111111111ul));                       \
    else                                                                                                               \
      __builtin_ia32_storedquqi512_mask((void *)(p), (vc)v_1, m_1);                                                    \
  }
#else
#define SOME_(p, m, v)                                                                                                 \
  {                                                                                                                    \
    bits m_1 = BITS(m);                                                                                                \
    if (m_1) {                                                                                                         \
      V_ v_1 = FULL_(v);                                                                                               \
      if (m_1 == (bits)(~0ul >> (64 - W)))                                                                             \
        PUT_(p, v_1);                                                                                                  \
      else {                                                                                                           \
        m_1 &= LANE_STARTS_;                                                                                           \
        do                                                                                                             \
          (p)[FIRST(m_1) / sizeof(E_)] = ((E_ *)&v_1)[FIRST(m_1) / sizeof(E_)];                                        \
        while (m_1 &= m_1 - 1);                                                                                        \
      }                                                                                                                \
    }                                                                                                                  \
  }
#endif
/* o[i] = E(x) for each x = a[i] with P(x), and nothing stored for the others; o may be a. */
#define WHERE(n, o, a, P, E)                                                                                           \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    const E_ *p_ = (const E_ *)(a);                                                                                    \
    E_ *o_ = (E_ *)(o);                                                                                                \
    V_ x;                                                                                                              \
    if (n_ >= LANES && !AFTER_(o_, p_)) {                                                                              \
      V_ z_ = ANY(p_ + n_ - LANES);                                                                                    \
      for (; i_ + LANES < n_; i_ += LANES) {                                                                           \
        x = ANY(p_ + i_);                                                                                              \
        SOME_(o_ + i_, P, E)                                                                                           \
      }                                                                                                                \
      x = z_;                                                                                                          \
      SOME_(o_ + n_ - LANES, P, E)                                                                                     \
    } else {                                                                                                           \
      for (; i_ < n_; i_++) {                                                                                          \
        x = (V_){p_[i_]};                                                                                              \
        if (BITS(P) & 1)                                                                                               \
          o_[i_] = FULL_(E)[0];                                                                                        \
      }                                                                                                                \
    }                                                                                                                  \
  })

/* s = s * m + c, then o[i] = E(x) for x = s; n times; the last s. Vectors jump LANES steps ahead. */
#define RECUR(s, m, c, n, o, E)                                                                                        \
  ({                                                                                                                   \
    ELEMENT(o);                                                                                                        \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    E_ *o_ = (o), t_ = (E_)(s), m_ = (E_)(m), c_ = (E_)(c);                                                            \
    V_ x;                                                                                                              \
    if (n_ >= 2 * LANES) {                                                                                             \
      E_ m_1 = 1, c_1 = 0;                                                                                             \
      _Pragma("GCC unroll 64") for (u64 j_ = 0; j_ < LANES; j_++) {                                                    \
        t_ = t_ * m_ + c_;                                                                                             \
        x[j_] = t_;                                                                                                    \
        c_1 = c_1 * m_ + c_;                                                                                           \
        m_1 *= m_;                                                                                                     \
      }                                                                                                                \
      for (;;) {                                                                                                       \
        PUT_(o_ + i_, E);                                                                                              \
        i_ += LANES;                                                                                                   \
        t_ = x[LANES - 1];                                                                                             \
        if (i_ + LANES > n_)                                                                                           \
          break;                                                                                                       \
        x = x * m_1 + c_1;                                                                                             \
      }                                                                                                                \
    }                                                                                                                  \
    for (; i_ < n_; i_++) {                                                                                            \
      t_ = t_ * m_ + c_;                                                                                               \
      x = (V_){t_};                                                                                                    \
      o_[i_] = ((V_)(E))[0];                                                                                           \
    }                                                                                                                  \
    t_;                                                                                                                \
  })
