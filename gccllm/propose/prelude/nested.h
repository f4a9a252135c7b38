/*
 * nested.h: loops in loops: products of matrices, chains of their own, all pairs, sorting, a row against itself.
 *
 * Floats keep the plain order within each chain; what is gained comes from working on many chains at a time. Where the
 * output shares bytes with an input, or is narrower than a vector, the plain loops run: the same steps one by one.
 * Inside the arguments i and k are the numbers of row and step, x and y the operands, s the chain so far.
 */
typedef VECTOR(f32, W) mf32;
typedef VECTOR(f64, W) mf64;

/* v in every lane (minus zero keeps the sign of -0.0), and in the lowest alone. */
#define SPLAT_(v) ((E_)(v) - (V_){0})
#define SINGLE_(v) ((V_){(E_)(v)})

/* p if it is smaller (greater) than q, else q: floats as the C comparison has it. */
INLINE mf32 min_f32(mf32 p, mf32 q) { return CHOOSE_(p, q, <); }
INLINE mf64 min_f64(mf64 p, mf64 q) { return CHOOSE_(p, q, <); }
INLINE mf32 max_f32(mf32 p, mf32 q) { return CHOOSE_(p, q, >); }
INLINE mf64 max_f64(mf64 p, mf64 q) { return CHOOSE_(p, q, >); }
#define SINGLES_(type)                                                                                                 \
  INLINE type min_1##type(type p, type q) { return p < q ? p : q; }                                                    \
  INLINE type max_1##type(type p, type q) { return p > q ? p : q; }
SINGLES_(i32)
SINGLES_(u32)
SINGLES_(i64)
SINGLES_(u64)
SINGLES_(f32)
SINGLES_(f64)
#define BY_TYPE_2_(name, p, q)                                                                                         \
  _Generic((p), i32: name##_1i32, u32: name##_1u32, i64: name##_1i64, u64: name##_1u64, f32: name##_1f32,              \
           f64: name##_1f64, mf32: name##_f32, mf64: name##_f64, vi8: name##_i8, vu8: name##_u8, vi16: name##_i16,     \
           vu16: name##_u16, vi32: name##_i32, vu32: name##_u32, vi64: name##_i64, vu64: name##_u64)(p, q)
#define LESSER(p, q) BY_TYPE_2_(min, p, q)
#define GREATER(p, q) BY_TYPE_2_(max, p, q)

/* Whether no byte of the lvalue O (c_ elements from it on) is one of X's, over all rows and steps. */
#define CORNER_(L, row, step)                                                                                          \
  ({                                                                                                                   \
    i64 i = (row), k = (step);                                                                                         \
    (u64) & (L);                                                                                                       \
  })
#define LEAST_(p, q) ((p) < (q) ? (p) : (q))
#define MOST_(p, q) ((p) < (q) ? (q) : (p))
#define FAR_(O, wide_o, X, wide_x)                                                                                     \
  ({                                                                                                                   \
    u64 o_ = CORNER_(O, 0, 0), o_1 = CORNER_(O, r_ - 1, 0), x_ = CORNER_(X, 0, 0), x_1 = CORNER_(X, r_ - 1, m_ - 1);   \
    (MOST_(o_, o_1) + (wide_o) * sizeof(E_) <= LEAST_(x_, x_1)) | (MOST_(x_, x_1) + (wide_x) * sizeof(E_) <= LEAST_(o_, o_1)); \
  })

/* One step of row i_ + row: s_ is its chain, y_ the vector of Y. */
#define STEP_N_(s_, y_, row, X, E)                                                                                       \
  ({                                                                                                                   \
    i64 i = i_ + (row);                                                                                                \
    V_ x = SPLAT_(X), y = y_, s = s_;                                                                                  \
    s_ = (E);                                                                                                          \
  })
#define STORE_N_(O, row, at, v) (*(U_ *)({ i64 i = i_ + (row); &(O) + (at); }) = (v))
#define LOAD_N_(O, row, at) (*(const U_ *)({ i64 i = i_ + (row); &(O) + (at); }))
/* 4 rows of 2 vectors, 4 of 1, 1 of 1, 1 of 4: FIRST_ gives a chain's start from the row's number and the column. */
#define TILE_8_(O, FIRST_, X, Y, E)                                                                                    \
  {                                                                                                                    \
    V_ s0_ = FIRST_(O, 0, j_), s1_ = FIRST_(O, 1, j_), s2_ = FIRST_(O, 2, j_), s3_ = FIRST_(O, 3, j_);                 \
    V_ s4_ = FIRST_(O, 0, j_ + LANES), s5_ = FIRST_(O, 1, j_ + LANES), s6_ = FIRST_(O, 2, j_ + LANES),                 \
       s7_ = FIRST_(O, 3, j_ + LANES);                                                                                 \
    for (i64 k = 0; k < m_; k++) {                                                                                     \
      V_ y0_ = ANY(&(Y) + j_), y1_ = ANY(&(Y) + j_ + LANES);                                                           \
      STEP_N_(s0_, y0_, 0, X, E);                                                                                        \
      STEP_N_(s4_, y1_, 0, X, E);                                                                                        \
      STEP_N_(s1_, y0_, 1, X, E);                                                                                        \
      STEP_N_(s5_, y1_, 1, X, E);                                                                                        \
      STEP_N_(s2_, y0_, 2, X, E);                                                                                        \
      STEP_N_(s6_, y1_, 2, X, E);                                                                                        \
      STEP_N_(s3_, y0_, 3, X, E);                                                                                        \
      STEP_N_(s7_, y1_, 3, X, E);                                                                                        \
    }                                                                                                                  \
    STORE_N_(O, 0, j_, s0_), STORE_N_(O, 1, j_, s1_), STORE_N_(O, 2, j_, s2_), STORE_N_(O, 3, j_, s3_);                                \
    STORE_N_(O, 0, j_ + LANES, s4_), STORE_N_(O, 1, j_ + LANES, s5_), STORE_N_(O, 2, j_ + LANES, s6_);                             \
    STORE_N_(O, 3, j_ + LANES, s7_);                                                                                       \
  }
#define TILE_4_(O, FIRST_, LAST_, X, Y, E)                                                                             \
  {                                                                                                                    \
    V_ s0_ = FIRST_(O, 0, j_), s1_ = FIRST_(O, 1, j_), s2_ = FIRST_(O, 2, j_), s3_ = FIRST_(O, 3, j_);                 \
    for (i64 k = 0; k < m_; k++) {                                                                                     \
      V_ y_ = ANY(&(Y) + j_);                                                                                          \
      STEP_N_(s0_, y_, 0, X, E);                                                                                         \
      STEP_N_(s1_, y_, 1, X, E);                                                                                         \
      STEP_N_(s2_, y_, 2, X, E);                                                                                         \
      STEP_N_(s3_, y_, 3, X, E);                                                                                         \
    }                                                                                                                  \
    STORE_N_(O, 0, j_, LAST_(O, 0, s0_)), STORE_N_(O, 1, j_, LAST_(O, 1, s1_));                                                \
    STORE_N_(O, 2, j_, LAST_(O, 2, s2_)), STORE_N_(O, 3, j_, LAST_(O, 3, s3_));                                                \
  }
#define TILE_1_(O, FIRST_, LAST_, X, Y, E)                                                                             \
  {                                                                                                                    \
    V_ s0_ = FIRST_(O, 0, j_);                                                                                         \
    for (i64 k = 0; k < m_; k++)                                                                                       \
      STEP_N_(s0_, ANY(&(Y) + j_), 0, X, E);                                                                             \
    STORE_N_(O, 0, j_, LAST_(O, 0, s0_));                                                                                  \
  }
#define TILE_W_(O, FIRST_, X, Y, E)                                                                                    \
  {                                                                                                                    \
    V_ s0_ = FIRST_(O, 0, j_), s1_ = FIRST_(O, 0, j_ + LANES), s2_ = FIRST_(O, 0, j_ + 2 * LANES),                     \
       s3_ = FIRST_(O, 0, j_ + 3 * LANES);                                                                             \
    for (i64 k = 0; k < m_; k++) {                                                                                     \
      STEP_N_(s0_, ANY(&(Y) + j_), 0, X, E);                                                                             \
      STEP_N_(s1_, ANY(&(Y) + j_ + LANES), 0, X, E);                                                                     \
      STEP_N_(s2_, ANY(&(Y) + j_ + 2 * LANES), 0, X, E);                                                                 \
      STEP_N_(s3_, ANY(&(Y) + j_ + 3 * LANES), 0, X, E);                                                                 \
    }                                                                                                                  \
    STORE_N_(O, 0, j_, s0_), STORE_N_(O, 0, j_ + LANES, s1_), STORE_N_(O, 0, j_ + 2 * LANES, s2_);                                 \
    STORE_N_(O, 0, j_ + 3 * LANES, s3_);                                                                                   \
  }
#define START_N_(O, row, at) start_
#define SAME_N_(O, row, s) (s)
/* The last vector of a row overlaps the one before it: lanes that are done stay as they are. */
#define FRESH_N_(O, row, s)                                                                                                \
  ({                                                                                                                   \
    vi8 l_ = live((d_) * (i64)sizeof(E_), W);                                                                          \
    (V_)(((vi8)(s) & l_) | ((vi8)LOAD_N_(O, row, j_) & ~l_));                                                             \
  })
/* Columns from j_ on, a vector at a time; the last one ends at the last column, its d_ lowest lanes done before. */
#define COLUMNS_(...)                                                                                                  \
  for (i64 d_ = 0; j_ < c_; j_ += LANES) {                                                                             \
    i64 e_ = c_ - (i64)LANES;                                                                                          \
    d_ = j_ > e_ ? j_ - e_ : 0;                                                                                        \
    j_ -= d_;                                                                                                          \
    __VA_ARGS__                                                                                                        \
  }
#define TILES_(rows, cols, depth, O, I, X, Y, E, FIRST_, LAST_, IF, ...)                                               \
  do {                                                                                                                 \
    typedef __typeof__(({ i64 i = 0; (O); })) E_;                                                                      \
    typedef VECTOR(E_, W) V_;                                                                                          \
    typedef E_ U_ __attribute__((vector_size(W), may_alias, aligned(1)));                                              \
    i64 r_ = (i64)LEN(rows), c_ = (i64)LEN(cols), m_ = (i64)LEN(depth);                                                \
    V_ start_ = SPLAT_(I);                                                                                             \
    if (IF c_ >= (i64)LANES && FAR_(O, c_, X, 1) & FAR_(O, c_, Y, c_)) {                                               \
      i64 i_ = 0;                                                                                                      \
      for (; i_ + 4 <= r_; i_ += 4) {                                                                                  \
        i64 j_ = 0;                                                                                                    \
        for (; j_ + 2 * (i64)LANES <= c_; j_ += 2 * LANES)                                                             \
          TILE_8_(O, FIRST_, X, Y, E)                                                                                  \
        COLUMNS_(TILE_4_(O, FIRST_, LAST_, X, Y, E))                                                                   \
      }                                                                                                                \
      for (; i_ < r_; i_++) {                                                                                          \
        i64 j_ = 0;                                                                                                    \
        for (; __builtin_constant_p(rows) && j_ + 4 * (i64)LANES <= c_; j_ += 4 * LANES)                               \
          TILE_W_(O, FIRST_, X, Y, E)                                                                                  \
        COLUMNS_(TILE_1_(O, FIRST_, LAST_, X, Y, E))                                                                   \
      }                                                                                                                \
    } else {                                                                                                           \
      for (i64 i = 0; i < r_; i++)                                                                                     \
        __VA_ARGS__                                                                                                    \
    }                                                                                                                  \
  } while (0)
/*
 * For each row i < rows and each of cols columns j: s = I, then s = E for every step k < depth, then (&O)[j] = s.
 * O is the first column of the row, x = X belongs to row and step, y = (&Y)[j] to step and column. X rises or falls
 * along rows and steps alike. DOTS keeps s in a variable; DOTSIN keeps it in (&O)[j]; DOTSADD has no start and takes the
 * steps before the columns. All three differ only where the output overlaps an input.
 */
#define DOTS(rows, cols, depth, O, I, X, Y, E)                                                                         \
  TILES_(rows, cols, depth, O, I, X, Y, E, START_N_, SAME_N_, , for (i64 j_ = 0; j_ < c_; j_++) {                             \
    V_ s = start_;                                                                                                     \
    for (i64 k = 0; k < m_; k++) {                                                                                     \
      V_ x = SINGLE_(X), y = SINGLE_((&(Y))[j_]);                                                                      \
      s = (E);                                                                                                         \
    }                                                                                                                  \
    (&(O))[j_] = s[0];                                                                                                 \
  })
#define DOTSIN(rows, cols, depth, O, I, X, Y, E)                                                                         \
  TILES_(rows, cols, depth, O, I, X, Y, E, START_N_, SAME_N_, , for (i64 j_ = 0; j_ < c_; j_++) {                             \
    (&(O))[j_] = start_[0];                                                                                            \
    for (i64 k = 0; k < m_; k++) {                                                                                     \
      V_ x = SINGLE_(X), y = SINGLE_((&(Y))[j_]), s = SINGLE_((&(O))[j_]);                                             \
      (&(O))[j_] = (E)[0];                                                                                             \
    }                                                                                                                  \
  })
#define DOTSADD(rows, cols, depth, O, X, Y, E)                                                                            \
  TILES_(rows, cols, depth, O, 0, X, Y, E, LOAD_N_, FRESH_N_, m_ &&, for (i64 k = 0; k < m_; k++) for (i64 j_ = 0; j_ < c_; j_++) {  \
    V_ x = SINGLE_(X), y = SINGLE_((&(Y))[j_]), s = SINGLE_((&(O))[j_]);                                               \
    (&(O))[j_] = (E)[0];                                                                                               \
  })

/*
 * For each row i < rows: s = I, then s = E for every step k < depth, then O = s. X, Y (x and y of a step) and O are
 * lvalues over i and k. Floats whose order must stay: four rows are walked side by side.
 */
#define LINE_(s_, row, X, Y, E)                                                                                        \
  ({                                                                                                                   \
    i64 i = i_ + (row);                                                                                                \
    E_ x = (X), y = (Y), s = s_;                                                                                       \
    s_ = (E);                                                                                                          \
  })
#define KEEP_N_(O, row, v) (*({ i64 i = i_ + (row); &(O); }) = (v))
#define LINES(rows, depth, O, I, X, Y, E)                                                                              \
  do {                                                                                                                 \
    typedef __typeof__(({ i64 i = 0; (O); })) E_;                                                                      \
    i64 r_ = (i64)LEN(rows), m_ = (i64)LEN(depth), i_ = 0;                                                             \
    if (FAR_(O, 1, X, 1) & FAR_(O, 1, Y, 1))                                                                           \
      for (; i_ + 4 <= r_; i_ += 4) {                                                                                  \
        E_ s0_ = (I), s1_ = s0_, s2_ = s0_, s3_ = s0_;                                                                 \
        for (i64 k = 0; k < m_; k++) {                                                                                 \
          LINE_(s0_, 0, X, Y, E);                                                                                      \
          LINE_(s1_, 1, X, Y, E);                                                                                      \
          LINE_(s2_, 2, X, Y, E);                                                                                      \
          LINE_(s3_, 3, X, Y, E);                                                                                      \
        }                                                                                                              \
        KEEP_N_(O, 0, s0_), KEEP_N_(O, 1, s1_), KEEP_N_(O, 2, s2_), KEEP_N_(O, 3, s3_);                                        \
      }                                                                                                                \
    for (; i_ < r_; i_++) {                                                                                            \
      E_ s0_ = (I);                                                                                                    \
      for (i64 k = 0; k < m_; k++)                                                                                     \
        LINE_(s0_, 0, X, Y, E);                                                                                        \
      KEEP_N_(O, 0, s0_);                                                                                                \
    }                                                                                                                  \
  } while (0)

/*
 * DOTS and DOTSIN for E = (s + x * y) % M of 64-bit residues, M a constant up to 2^30: one division an element of O.
 * All operands are looked at first: where one is no residue, the plain loops run.
 */
#if W == 64
#define PRODUCT_32_(p, q) ((vu64)__builtin_ia32_pmuludq512_mask((VECTOR(int, 64))(p), (VECTOR(int, 64))(q), (VECTOR(long long, 64)){0}, -1))
#elif W == 32
#define PRODUCT_32_(p, q) ((vu64)__builtin_ia32_pmuludq256((VECTOR(int, 32))(p), (VECTOR(int, 32))(q)))
#else
#define PRODUCT_32_(p, q) ((vu64)__builtin_ia32_pmuludq128((VECTOR(int, 16))(p), (VECTOR(int, 16))(q)))
#endif
#define REDUCED_(s_, x_, at, Y)                                                                                        \
  s_ = (vi64)((vu64)s_ + PRODUCT_32_(x_, ANY(&(Y) + (at)))) - full_;                                                   \
  s_ += full_ & (s_ < 0)
#define RESIDUES_(rows, cols, depth, O, M, X, Y, ...)                                                                  \
  do {                                                                                                                 \
    typedef __typeof__(({ i64 i = 0; (O); })) E_;                                                                      \
    typedef VECTOR(E_, W) V_;                                                                                          \
    typedef E_ U_ __attribute__((vector_size(W), may_alias, aligned(1)));                                              \
    i64 r_ = (i64)LEN(rows), c_ = (i64)LEN(cols), m_ = (i64)LEN(depth), e_ = c_ - (i64)LANES;                          \
    u64 odd_ = (e_ < 0) | (r_ == 0) || !(FAR_(O, c_, X, 1) & FAR_(O, c_, Y, c_));                                      \
    for (i64 i = 0; !odd_ & i < r_; i++)                                                                               \
      for (i64 k = 0; k < m_; k++)                                                                                     \
        odd_ |= (u64)(X) >= (M);                                                                                       \
    for (i64 k = 0; !odd_ & k < m_; k++)                                                                               \
      for (i64 j_ = 0; j_ < c_; j_++)                                                                                  \
        odd_ |= (u64)(&(Y))[j_] >= (M);                                                                                \
    vi64 full_ = (i64)((1ul << 62) / ((u64)(M) * (M)) * ((u64)(M) * (M))) - (vi64){0};                                 \
    if (!odd_)                                                                                                         \
      for (i64 i = 0; i < r_; i++)                                                                                     \
        for (i64 j_ = 0; j_ < c_; j_ += 2 * LANES) {                                                                   \
          j_ = j_ < e_ ? j_ : e_;                                                                                      \
          i64 h_ = j_ + (i64)LANES < e_ ? j_ + (i64)LANES : e_;                                                        \
          vi64 s_ = {0}, s1_ = {0};                                                                                    \
          for (i64 k = 0; k < m_; k++) {                                                                               \
            vi64 x_ = (i64)(X) - (vi64){0};                                                                            \
            REDUCED_(s_, x_, j_, Y);                                                                                   \
            REDUCED_(s1_, x_, h_, Y);                                                                                  \
          }                                                                                                            \
          for (u64 k = 0; k < LANES; k++) {                                                                            \
            (&(O))[j_ + (i64)k] = (u64)s_[k] % (M);                                                                    \
            (&(O))[h_ + (i64)k] = (u64)s1_[k] % (M);                                                                   \
          }                                                                                                            \
        }                                                                                                              \
    else                                                                                                               \
      for (i64 i = 0; i < r_; i++)                                                                                     \
        for (i64 j_ = 0; j_ < c_; j_++)                                                                                \
          __VA_ARGS__                                                                                                  \
  } while (0)
#define DOTSMOD(rows, cols, depth, O, M, X, Y, E)                                                                      \
  RESIDUES_(rows, cols, depth, O, M, X, Y, {                                                                           \
    E_ s = 0;                                                                                                          \
    for (i64 k = 0; k < m_; k++) {                                                                                     \
      E_ x = (X), y = (&(Y))[j_];                                                                                      \
      s = (E);                                                                                                         \
    }                                                                                                                  \
    (&(O))[j_] = s;                                                                                                    \
  })
#define DOTSINMOD(rows, cols, depth, O, M, X, Y, E)                                                                      \
  RESIDUES_(rows, cols, depth, O, M, X, Y, {                                                                           \
    (&(O))[j_] = 0;                                                                                                    \
    for (i64 k = 0; k < m_; k++) {                                                                                     \
      E_ x = (X), y = (&(Y))[j_], s = (&(O))[j_];                                                                      \
      (&(O))[j_] = (E);                                                                                                \
    }                                                                                                                  \
  })

/* Adds the lanes of x that have P with each of four y, under a mask of lanes each. */
#define FOUR_N_(P, MASK0, MASK1, MASK2, MASK3)                                                                           \
  ({                                                                                                                   \
    M_ p0_, p1_;                                                                                                       \
    {                                                                                                                  \
      V_ y = y0_;                                                                                                      \
      p0_ = (M_)(P)MASK0;                                                                                              \
    }                                                                                                                  \
    {                                                                                                                  \
      V_ y = y1_;                                                                                                      \
      p0_ += (M_)(P)MASK1;                                                                                             \
    }                                                                                                                  \
    {                                                                                                                  \
      V_ y = y2_;                                                                                                      \
      p1_ = (M_)(P)MASK2;                                                                                              \
    }                                                                                                                  \
    {                                                                                                                  \
      V_ y = y3_;                                                                                                      \
      p1_ += (M_)(P)MASK3;                                                                                             \
    }                                                                                                                  \
    s_ -= p0_ + p1_;                                                                                                   \
  })
#define LATER_LANES_(row) &(M_) live(((row) + 1) * (i64)sizeof(E_), W)
#define END_LANES_ &l_
#define ALL_LANES_
#define ROWS_4_(p)                                                                                                     \
  V_ y0_ = SPLAT_((p)[i_]), y1_ = SPLAT_((p)[i_ + 1]), y2_ = SPLAT_((p)[i_ + 2]), y3_ = SPLAT_((p)[i_ + 3]);           \
  M_ s_ = {0}
/*
 * How many pairs have P. PAIRS: y = a[i] and x = a[j] for all i < j < n. CROSS: y of the n at a and x of the m at b.
 * Elements of 32 or 64 bits; four y at a time meet each vector of x.
 */
#define PAIRS(n, a, P)                                                                                                 \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    typedef __typeof__(__builtin_choose_expr(sizeof(E_) == 8, (vi64){0}, (vi32){0})) M_;                               \
    const E_ *p_ = (a);                                                                                                \
    i64 n_ = (i64)LEN(n), i_ = 0;                                                                                      \
    u64 t_ = 0;                                                                                                        \
    for (; LANES >= 4 && i_ + (i64)LANES + 4 <= n_; i_ += 4) {                                                         \
      ROWS_4_(p_);                                                                                                     \
      V_ x = ANY(p_ + i_);                                                                                             \
      FOUR_N_(P, LATER_LANES_(0), LATER_LANES_(1), LATER_LANES_(2), LATER_LANES_(3));                                                            \
      i64 j_ = i_ + (i64)LANES;                                                                                        \
      for (; j_ + (i64)LANES <= n_; j_ += LANES) {                                                                     \
        x = ANY(p_ + j_);                                                                                              \
        FOUR_N_(P, ALL_LANES_, ALL_LANES_, ALL_LANES_, ALL_LANES_);                                                                          \
      }                                                                                                                \
      M_ l_ = (M_)live(W - (n_ - j_) * (i64)sizeof(E_), W);                                                            \
      x = ANY(p_ + n_ - LANES);                                                                                        \
      FOUR_N_(P, END_LANES_, END_LANES_, END_LANES_, END_LANES_);                                                                            \
      t_ += (u64)FOLDED(s_, ADD_);                                                                                     \
    }                                                                                                                  \
    for (; i_ < n_; i_++)                                                                                              \
      for (i64 j_ = i_ + 1; j_ < n_; j_++) {                                                                           \
        E_ x = p_[j_], y = p_[i_];                                                                                     \
        t_ += (u64)((P)&1);                                                                                            \
      }                                                                                                                \
    t_;                                                                                                                \
  })
#define CROSS(n, a, m, b, P)                                                                                           \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    typedef __typeof__(__builtin_choose_expr(sizeof(E_) == 8, (vi64){0}, (vi32){0})) M_;                               \
    const E_ *p_ = (a), *q_ = (b);                                                                                     \
    i64 n_ = (i64)LEN(n), m_ = (i64)LEN(m), i_ = 0;                                                                    \
    u64 t_ = 0;                                                                                                        \
    if (m_ >= (i64)LANES)                                                                                              \
      for (; i_ + 4 <= n_; i_ += 4) {                                                                                  \
        ROWS_4_(p_);                                                                                                   \
        i64 j_ = 0;                                                                                                    \
        V_ x;                                                                                                          \
        for (; j_ + (i64)LANES <= m_; j_ += LANES) {                                                                   \
          x = ANY(q_ + j_);                                                                                            \
          FOUR_N_(P, ALL_LANES_, ALL_LANES_, ALL_LANES_, ALL_LANES_);                                                                        \
        }                                                                                                              \
        M_ l_ = (M_)live(W - (m_ - j_) * (i64)sizeof(E_), W);                                                          \
        x = ANY(q_ + m_ - LANES);                                                                                      \
        FOUR_N_(P, END_LANES_, END_LANES_, END_LANES_, END_LANES_);                                                                          \
        t_ += (u64)FOLDED(s_, ADD_);                                                                                   \
      }                                                                                                                \
    for (; i_ < n_; i_++)                                                                                              \
      for (i64 j_ = 0; j_ < m_; j_++) {                                                                                \
        E_ x = q_[j_], y = p_[i_];                                                                                     \
        t_ += (u64)((P)&1);                                                                                            \
      }                                                                                                                \
    t_;                                                                                                                \
  })

/*
 * Sorts n elements: each y in turn goes in front of the elements x before it with P (a strict order, as x > y), which
 * move up by one, a vector at a time. Bytes whose element never has a reason to move are not stored.
 */
#define SORT(n, a, P)                                                                                                  \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    E_ *p_ = (a);                                                                                                      \
    i64 n_ = (i64)LEN(n);                                                                                              \
    for (i64 i_ = 1; i_ < n_; i_++) {                                                                                  \
      i64 j_ = i_;                                                                                                     \
      E_ t_ = p_[i_];                                                                                                  \
      V_ v_ = SPLAT_(t_);                                                                                              \
      for (; j_ >= (i64)LANES; j_ -= LANES) {                                                                          \
        V_ x = ANY(p_ + j_ - LANES), y = v_;                                                                           \
        if (BITS(P) != (bits)(~0ul >> (64 - W)))                                                                       \
          break;                                                                                                       \
        *(U_ *)(p_ + j_ - LANES + 1) = x;                                                                              \
      }                                                                                                                \
      for (; j_ > 0; j_--) {                                                                                           \
        E_ x = p_[j_ - 1], y = t_;                                                                                     \
        if (!(P))                                                                                                      \
          break;                                                                                                       \
        p_[j_] = x;                                                                                                    \
      }                                                                                                                \
      if (j_ < i_)                                                                                                     \
        p_[j_] = t_;                                                                                                   \
    }                                                                                                                  \
  })

/*
 * A row against itself, d to the left: for j from n - 1 down to d, a[j] = E over x = a[j] and y = a[j - d], which is
 * still old. Upwards a vector would wait for the stores it reads back, so that only LAGMOD is worth having.
 */
#define LAGGED_(E)                                                                                                     \
  ({                                                                                                                   \
    V_ x = ANY(p_ + j_ - LANES), y = ANY(p_ + j_ - LANES - d_);                                                        \
    *(U_ *)(p_ + j_ - LANES) = (E);                                                                                    \
  })
#define FALLING_(n, a, d, E, SMALL)                                                                                    \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    E_ *p_ = (a);                                                                                                      \
    i64 j_ = (i64)(n), d_ = (d);                                                                                       \
    if (d_ >= 0 && d_ < j_)                                                                                            \
      for (; j_ - d_ >= (i64)LANES; j_ -= LANES)                                                                       \
        LAGGED_(E);                                                                                                    \
    for (; j_ > d_; j_--) {                                                                                            \
      E_ x = p_[j_ - 1], y = p_[j_ - 1 - d_];                                                                          \
      p_[j_ - 1] = (SMALL);                                                                                            \
    }                                                                                                                  \
  })
#define LAGDOWN(n, a, d, E) FALLING_(n, a, d, E, E)
/*
 * The same for E = (x + y) % m over a row of signed numbers between -m and m (m up to half the type's range) at places
 * from 0 to n - 1, downwards and (LAGMOD) upwards: m is taken off a sum, or added. Only a negative d meets other numbers,
 * and it takes the steps with the division, as the last few elements do.
 */
#define PLUSMOD_(m)                                                                                                    \
  ({                                                                                                                   \
    V_ u_ = x + y;                                                                                                     \
    u_ - ((V_)(u_ > (E_)(m)-1) & (E_)(m)) + ((V_)(u_ < 1 - (E_)(m)) & (E_)(m));                                        \
  })
#define LAGDOWNMOD(n, a, d, m) FALLING_(n, a, d, PLUSMOD_(m), (x + y) % (E_)(m))
#define LAGMOD_1_(at, m)                                                                                               \
  ({                                                                                                                   \
    E_ t_ = q_[at] + q_[(at)-d_], u_ = t_ >= (E_)(m) ? t_ - (E_)(m) : t_;                                              \
    q_[at] = t_ <= -(E_)(m) ? t_ + (E_)(m) : u_;                                                                       \
  })
#define LAGMOD(n, a, d, m)                                                                                             \
  ({                                                                                                                   \
    ELEMENT(a);                                                                                                        \
    i64 n_ = (i64)(n), d_ = (d), j_ = d_;                                                                              \
    E_ *q_ = (a) + d_;                                                                                                 \
    if (d_ >= 0)                                                                                                       \
      for (; j_ + 4 <= n_; j_ += 4, q_ += 4) {                                                                         \
        LAGMOD_1_(0, m);                                                                                               \
        LAGMOD_1_(1, m);                                                                                               \
        LAGMOD_1_(2, m);                                                                                               \
        LAGMOD_1_(3, m);                                                                                               \
      }                                                                                                                \
    for (; j_ < n_; j_++, q_++)                                                                                        \
      *q_ = (*q_ + q_[-d_]) % (E_)(m);                                                                                 \
  })
