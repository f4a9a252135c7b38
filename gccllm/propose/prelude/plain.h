/*
 * plain.h: the macros' plain loops, for answers that are only tried.
 *
 * Behind the other headers; what is defined here replaces them. A vector has one lane here, so an answer means what it
 * means with wide ones: an expression over x is of the elements' type, a comparison gives all ones or zeros. The loops
 * are those that the macros stand for, element by element and in their order, so they are right under every overlap,
 * read and store nothing else, and compile in a fraction of the time. Macros that are not here keep their wide form.
 * No answer is ever linked in this form.
 */
#define ONE_(T) T __attribute__((vector_size(sizeof(T)), may_alias))
#define EACH_(a) typedef __typeof__(*(a)) E_; typedef ONE_(E_) V_
#define HOLDS_(c) ({ __auto_type h_ = (c); h_[0] != 0; })
#define LANE0_(e) ((V_){0} + (e))[0]
#define AGAIN_ for (; i_ < n_; i_++)
#define NATURAL_ __typeof__(_Generic((E_)0, i8: (u8)0, i16: (u16)0, i32: (u32)0, i64: (u64)0, default: (E_)0))

#undef UNSIGNED_
#define UNSIGNED_(v) ((NATURAL_ __attribute__((vector_size(sizeof(v)))))(v))
#undef EQ
#define EQ(c) ((x == (E_)(c)) & (x * 0 == (E_)(((E_)(c) == (c)) - 1)))
#undef LARGER
#undef SMALLER
#define LARGER(p, q) ({ __typeof__(x) p_ = (__typeof__(x)){0} + (p), q_ = (__typeof__(x)){0} + (q); p_[0] > q_[0] ? p_ : q_; })
#define SMALLER(p, q) ({ __typeof__(x) p_ = (__typeof__(x)){0} + (p), q_ = (__typeof__(x)){0} + (q); p_[0] < q_[0] ? p_ : q_; })
#undef INSET
#define INSET(low, span, mask)                                                                                         \
  ({ u8 b_ = (u8)((u8)x[0] - (u8)(low)); x * 0 == (E_)((b_ <= (u8)(span) && b_ < 64 && ((u64)(mask) >> b_ & 1)) - 1); })
#undef ROTATE
#define ROTATE(low, m, k) ((__typeof__(x)){0} + (__typeof__(x[0]))((low) + (x[0] - (low) + (k)) % (m)))
#undef QUO
#undef REM
#define QUO(x, m) ((__typeof__(x)){0} + ((m) ? (x)[0] / (__typeof__((x)[0]))(m) : 0))
#define REM(x, m) ((__typeof__(x)){0} + ((m) ? (x)[0] % (__typeof__((x)[0]))(m) : (x)[0]))

/* One array from its start, one pair after the other: what S does with each x (and y). */
#define WALK_(n, a, S)                                                                                                 \
  const E_ *p_ = (const E_ *)(a);                                                                                      \
  u64 n_ = LEN(n), i_ = 0;                                                                                             \
  AGAIN_ {                                                                                                             \
    V_ x = {p_[i_]};                                                                                                   \
    S                                                                                                                  \
  }
#define BESIDE_(n, a, b, S)                                                                                            \
  typedef __typeof__(*(b)) B_;                                                                                         \
  const E_ *p_ = (const E_ *)(a);                                                                                      \
  const B_ *r_ = (const B_ *)(b);                                                                                      \
  u64 n_ = LEN(n), i_ = 0;                                                                                             \
  AGAIN_ {                                                                                                             \
    V_ x = {p_[i_]};                                                                                                   \
    ONE_(B_) y = {r_[i_]};                                                                                             \
    S                                                                                                                  \
  }

#undef COUNT
#undef COUNT2
#define COUNT(n, a, P) ({ EACH_(a); u64 s_ = 0; WALK_(n, a, s_ += HOLDS_(P);) s_; })
#define COUNT2(n, a, b, P) ({ EACH_(a); u64 s_ = 0; BESIDE_(n, a, b, s_ += HOLDS_(P);) s_; })
#undef SUM
#undef SUM2
#define SUM(A, n, a, E) ({ EACH_(a); A s_ = 0; WALK_(n, a, s_ += (A)LANE0_(E);) s_; })
#define SUM2(A, n, a, b, E) ({ EACH_(a); A s_ = 0; BESIDE_(n, a, b, s_ += (A)LANE0_(E);) s_; })
#undef XORS
#undef ORS
#undef ANDS
#define XORS(n, a, E) ({ EACH_(a); E_ s_ = 0; WALK_(n, a, s_ ^= LANE0_(E);) s_; })
#define ORS(i, n, a, E) ({ EACH_(a); E_ s_ = (E_)(i); WALK_(n, a, s_ |= LANE0_(E);) s_; })
#define ANDS(i, n, a, E) ({ EACH_(a); E_ s_ = (E_)(i); WALK_(n, a, s_ &= LANE0_(E);) s_; })
#define BEST_(OP, E) { E_ e_ = LANE0_(E); s_ = e_ OP s_ ? e_ : s_; }
#undef MAX
#undef MIN
#undef MAX2
#undef MIN2
#define MAX(i, n, a, E) ({ EACH_(a); E_ s_ = (E_)(i); WALK_(n, a, BEST_(>, E)) s_; })
#define MIN(i, n, a, E) ({ EACH_(a); E_ s_ = (E_)(i); WALK_(n, a, BEST_(<, E)) s_; })
#define MAX2(i, n, a, b, E) ({ EACH_(a); E_ s_ = (E_)(i); BESIDE_(n, a, b, BEST_(>, E)) s_; })
#define MIN2(i, n, a, b, E) ({ EACH_(a); E_ s_ = (E_)(i); BESIDE_(n, a, b, BEST_(<, E)) s_; })
#define TO_(o) E_ *o_ = (E_ *)(o);
#undef SUMS
#undef MAXES
#undef MINS
#define SUMS(i, n, o, a, E) ({ EACH_(a); E_ s_ = (E_)(i); TO_(o) WALK_(n, a, s_ += LANE0_(E); o_[i_] = s_;) s_; })
#define MAXES(i, n, o, a, E) ({ EACH_(a); E_ s_ = (E_)(i); TO_(o) WALK_(n, a, BEST_(>, E) o_[i_] = s_;) s_; })
#define MINS(i, n, o, a, E) ({ EACH_(a); E_ s_ = (E_)(i); TO_(o) WALK_(n, a, BEST_(<, E) o_[i_] = s_;) s_; })
#define BITS_OF_(e) ONES((u64)LANE0_(e) & ~0ul >> (64 - 8 * sizeof(E_)))
#undef POPS
#undef POPS2
#define POPS(n, a, E) ({ EACH_(a); u64 s_ = 0; WALK_(n, a, s_ += BITS_OF_(E);) s_; })
#define POPS2(n, a, b, E) ({ EACH_(a); u64 s_ = 0; BESIDE_(n, a, b, s_ += BITS_OF_(E);) s_; })

#define NO_END_ (~0ul >> 1)
#undef FIND
#undef FINDZ
#undef FIND2
#undef FIND2Z
#define STOP_(P) if (HOLDS_(P)) { f_ = i_; break; }
#define FIND(n, a, P) ({ EACH_(a); u64 f_ = LEN(n); WALK_(f_, a, STOP_(P)) f_; })
#define FINDZ(a, P) ({ EACH_(a); u64 f_ = 0; WALK_(NO_END_, a, STOP_(P)) f_; })
#define FIND2(n, a, b, P) ({ EACH_(a); u64 f_ = LEN(n); BESIDE_(f_, a, b, STOP_(P)) f_; })
#define FIND2Z(a, b, P) ({ EACH_(a); u64 f_ = 0; BESIDE_(NO_END_, a, b, STOP_(P)) f_; })
#undef FINDLAST
#define FINDLAST(n, a, P)                                                                                              \
  ({                                                                                                                   \
    EACH_(a);                                                                                                          \
    const E_ *p_ = (const E_ *)(a);                                                                                    \
    u64 n_ = LEN(n), f_ = n_;                                                                                          \
    for (u64 i_ = n_; i_--;) {                                                                                         \
      V_ x = {p_[i_]};                                                                                                 \
      STOP_(P)                                                                                                         \
    }                                                                                                                  \
    f_;                                                                                                                \
  })
#undef ENDS
#undef NEXT
#define TWICE_(n, last, other, P)                                                                                      \
    u64 w_ = LEN(n), n_ = last, i_ = 0, f_ = w_;                                                                       \
    AGAIN_ {                                                                                                           \
      V_ x = {p_[i_]}, y = {p_[other]};                                                                                \
      STOP_(P)                                                                                                         \
    }
#define ENDS(n, a, P) ({ EACH_(a); const E_ *p_ = (const E_ *)(a); TWICE_(n, w_ / 2, w_ - 1 - i_, P) f_; })
#define NEXT(n, a, P) ({ EACH_(a); const E_ *p_ = (const E_ *)(a); TWICE_(n, w_ ? w_ - 1 : 0, i_ + 1, P) f_; })
#undef RUNS
#define RUNS(n, a, P) ({ EACH_(a); u64 s_ = 0; int t_ = 0; WALK_(n, a, int c_ = HOLDS_(P); s_ += c_ & !t_; t_ = c_;) s_; })

#undef MAP
#undef MAP2
#define MAP(n, o, a, E) ({ EACH_(a); TO_(o) WALK_(n, a, o_[i_] = LANE0_(E);) })
#define MAP2(n, o, a, b, E) ({ EACH_(a); TO_(o) BESIDE_(n, a, b, o_[i_] = LANE0_(E);) })
#undef WHERE
#undef KEEP
#undef PUT
#define WHERE(n, o, a, P, E) ({ EACH_(a); TO_(o) WALK_(n, a, if (HOLDS_(P)) o_[i_] = LANE0_(E);) })
#define KEEP(n, o, a, P) ({ EACH_(a); TO_(o) u64 k_ = 0; WALK_(n, a, if (HOLDS_(P)) o_[k_++] = x[0];) k_; })
#define PUT(n, a, P, E) WHERE(n, a, a, P, E)
#undef FILL
#undef REVERSE
#undef BACKWARD
#define FILL(n, o, c) ({ EACH_(o); E_ *o_ = (o); u64 n_ = LEN(n), i_ = 0; AGAIN_ o_[i_] = (E_)(c); })
#define REVERSE(n, a)                                                                                                  \
  ({                                                                                                                   \
    EACH_(a);                                                                                                          \
    E_ *o_ = (a);                                                                                                      \
    u64 w_ = LEN(n), n_ = w_ / 2, i_ = 0;                                                                              \
    AGAIN_ { E_ t_ = o_[i_]; o_[i_] = o_[w_ - 1 - i_]; o_[w_ - 1 - i_] = t_; }                                         \
  })
#define BACKWARD(n, o, a, E)                                                                                           \
  ({                                                                                                                   \
    EACH_(a);                                                                                                          \
    TO_(o)                                                                                                             \
    const E_ *p_ = (const E_ *)(a);                                                                                    \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    AGAIN_ { V_ x = {p_[n_ - 1 - i_]}; o_[i_] = LANE0_(E); }                                                           \
  })
#undef KEYED
#define KEYED(n, o, a, k, b, E)                                                                                        \
  ({ EACH_(a); TO_(o) const E_ *b_ = (const E_ *)(b); u64 k_ = (u64)(k); WALK_(n, a, V_ y = {b_[i_ % k_]}; o_[i_] = LANE0_(E);) })
#undef RECUR
#define RECUR(s, m, c, n, o, E)                                                                                        \
  ({                                                                                                                   \
    EACH_(o);                                                                                                          \
    E_ *o_ = (o), t_ = (E_)(s), m_ = (E_)(m), c_ = (E_)(c);                                                            \
    u64 n_ = LEN(n), i_ = 0;                                                                                           \
    AGAIN_ { t_ = t_ * m_ + c_; V_ x = {t_}; o_[i_] = LANE0_(E); }                                                     \
    t_;                                                                                                                \
  })
#undef TRANSLATE
#undef SPELL
#define TRANSLATE(n, o, a, t, P) ({ EACH_(a); TO_(o) const E_ *t_ = (const E_ *)(t); WALK_(n, a, o_[i_] = t_[(u8)LANE0_(P)];) })
#define SPELL(n, o, a, t, P, Q)                                                                                        \
  ({                                                                                                                   \
    EACH_(a);                                                                                                          \
    TO_(o)                                                                                                             \
    const E_ *t_ = (const E_ *)(t);                                                                                    \
    WALK_(n, a, o_[2 * i_] = t_[(u8)LANE0_(P)]; o_[2 * i_ + 1] = t_[(u8)LANE0_(Q)];)                                   \
  })

#undef SORT
#define SORT(n, a, P)                                                                                                  \
  ({                                                                                                                   \
    EACH_(a);                                                                                                          \
    E_ *o_ = (a);                                                                                                      \
    u64 n_ = LEN(n), i_ = 1;                                                                                           \
    AGAIN_ {                                                                                                           \
      V_ y = {o_[i_]};                                                                                                 \
      u64 j_ = i_;                                                                                                     \
      for (; j_; j_--) {                                                                                               \
        V_ x = {o_[j_ - 1]};                                                                                           \
        if (!HOLDS_(P))                                                                                                \
          break;                                                                                                       \
        o_[j_] = x[0];                                                                                                 \
      }                                                                                                                \
      if (j_ != i_)                                                                                                    \
        o_[j_] = y[0];                                                                                                 \
    }                                                                                                                  \
  })
#define EVERY_(n, m, start)                                                                                            \
  u64 n_ = LEN(n), m_ = LEN(m), s_ = 0;                                                                                \
  for (u64 i_ = 0; i_ < n_; i_++)                                                                                      \
    for (u64 j_ = start; j_ < m_; j_++)
#undef PAIRS
#undef CROSS
#define PAIRS(n, a, P)                                                                                                 \
  ({ EACH_(a); const E_ *p_ = (a); EVERY_(n, n, i_ + 1) { V_ y = {p_[i_]}, x = {p_[j_]}; s_ += HOLDS_(P); } s_; })
#define CROSS(n, a, m, b, P)                                                                                           \
  ({ EACH_(a); const E_ *p_ = (a), *r_ = (b); EVERY_(n, m, 0) { V_ y = {p_[i_]}, x = {r_[j_]}; s_ += HOLDS_(P); } s_; })
