/*
 * core.h: vectors of whatever width the target has, in plain C for gcc.
 *
 * An answer in the `c` dialect is the body of a function whose parameters are named a, b, c, d, e, f, and it may use
 * every macro of this folder. The same answer compiles for SSE2, AVX2 and AVX-512: W is the width in bytes, and an
 * expression over x (or x and y) means a whole vector of the elements of the array that the macro walks.
 *
 * Rules that every macro here keeps (they are the project's contract, and the verifier checks each use):
 *   reads   whole W-byte aligned blocks that hold at least one element which the plain loop reads, nothing else
 *   stores  only bytes that the plain loop stores
 *   counts  may be of any integer type; zero and negative ones mean no element
 * Comparisons give lanes of all ones or zeros: combine them with & | ^ ~, never with && || !.
 */
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long u64;
typedef float f32;
typedef double f64;
#define INLINE __attribute__((always_inline)) static inline

#if defined __AVX512BW__
#define W 64
typedef u64 bits;
#elif defined __AVX2__
#define W 32
typedef u32 bits;
#else
#define W 16
typedef u32 bits;
#endif
#define VECTOR(type, bytes) type __attribute__((vector_size(bytes), may_alias))
typedef VECTOR(char, W) vc;
typedef VECTOR(i8, W) vi8;
typedef VECTOR(u8, W) vu8;
typedef VECTOR(i16, W) vi16;
typedef VECTOR(u16, W) vu16;
typedef VECTOR(i32, W) vi32;
typedef VECTOR(u32, W) vu32;
typedef VECTOR(i64, W) vi64;
typedef VECTOR(u64, W) vu64;

/* The top bit of every byte of a vector, lowest address first. Masks of wider lanes give size equal bits a lane. */
#if W == 64
#define BITS(m) ((bits)__builtin_ia32_cvtb2mask512((vc)(m)))
#define SUM_BYTES(x) ((vu64)__builtin_ia32_psadbw512((vc)(x), (vc){0}))
#elif W == 32
#define BITS(m) ((bits)__builtin_ia32_pmovmskb256((vc)(m)))
#define SUM_BYTES(x) ((vu64)__builtin_ia32_psadbw256((vc)(x), (vc){0}))
#else
#define BITS(m) ((bits)__builtin_ia32_pmovmskb128((vc)(m)))
#define SUM_BYTES(x) ((vu64)__builtin_ia32_psadbw128((vc)(x), (vc){0}))
#endif
#define FIRST(m) ((u64)__builtin_ctzll(m))
#define LAST(m) ((u64)(63 - __builtin_clzll(m)))
#ifdef __POPCNT__
#define ONES(m) ((u64)__builtin_popcountll(m))
#else
/* Without the instruction gcc would call its library. */
INLINE u64 ones_of_(u64 m) {
  m -= (m >> 1) & 0x5555555555555555ul;
  m = (m & 0x3333333333333333ul) + ((m >> 2) & 0x3333333333333333ul);
  return ((m + (m >> 4)) & 0x0f0f0f0f0f0f0f0ful) * 0x0101010101010101ul >> 56;
}
#define ONES(m) ones_of_(m)
#endif

/* A count as u64: what is not above zero is none. */
#define LEN(n) ({ __auto_type l_ = (n); l_ > 0 ? (u64)l_ : 0ul; })
/* Types of an array's element, its vector, and the same vector at any address. */
#define ELEMENT(a)                                                                                                     \
  typedef __typeof__(*(a)) E_;                                                                                         \
  typedef VECTOR(E_, W) V_;                                                                                            \
  typedef E_ U_ __attribute__((vector_size(W), may_alias, aligned(1)))
#define LANES (W / sizeof(E_))
#define AT(p) (*(const V_ *)(p))
#define ANY(p) (*(const U_ *)(p))

/* p where c, else q; lane by lane, c a comparison. */
#define SEL(c, p, q)                                                                                                   \
  ({                                                                                                                   \
    __auto_type c_ = (c);                                                                                              \
    (__typeof__(x))((c_ & (__typeof__(c_))((__typeof__(x)){0} + (p))) | (~c_ & (__typeof__(c_))((__typeof__(x)){0} + (q)))); \
  })

#define IOTA4(k) (k), (k) + 1, (k) + 2, (k) + 3
#define IOTA16(k) IOTA4(k), IOTA4((k) + 4), IOTA4((k) + 8), IOTA4((k) + 12)
#if W == 64
#define BYTE_NUMBERS ((vi8){IOTA16(0), IOTA16(16), IOTA16(32), IOTA16(48)})
#elif W == 32
#define BYTE_NUMBERS ((vi8){IOTA16(0), IOTA16(16)})
#else
#define BYTE_NUMBERS ((vi8){IOTA16(0)})
#endif
/* All ones in the bytes from low up to high (0 <= low, high <= W). */
INLINE vi8 live(i64 low, i64 high) {
  vi8 k = BYTE_NUMBERS;
  return (vi8)(k >= (i8)low) & (vi8)(k < (i8)high);
}

/* Lane 0 of the vector folded by OP(p, q), in log2(lanes) shuffles; s has lanes of `size` bytes. */
#define HALF_(s, OP, bytes)                                                                                            \
  if (W > (bytes) && sizeof(s[0]) <= (bytes))                                                                          \
    s = OP(s, (__typeof__(s))__builtin_shuffle((vi8)s, (vi8)((BYTE_NUMBERS + (bytes)) & (W - 1))))
#define FOLDED(s, OP)                                                                                                  \
  ({                                                                                                                   \
    __auto_type g_ = (s);                                                                                              \
    HALF_(g_, OP, 32);                                                                                                 \
    HALF_(g_, OP, 16);                                                                                                 \
    HALF_(g_, OP, 8);                                                                                                  \
    HALF_(g_, OP, 4);                                                                                                  \
    HALF_(g_, OP, 2);                                                                                                  \
    HALF_(g_, OP, 1);                                                                                                  \
    g_[0];                                                                                                             \
  })
#define ADD_(p, q) ((p) + (q))
#define XOR_(p, q) ((p) ^ (q))
#define OR_(p, q) ((p) | (q))
#define AND_(p, q) ((p) & (q))

/* Tests of x against numbers, as lanes. IN: low <= x <= low + span; EQ: an int that x may be too narrow for. */
#define UNSIGNED_(v) _Generic((v), vi8: (vu8)(v), vi16: (vu16)(v), vi32: (vu32)(v), vi64: (vu64)(v), default: (v))
#define IN(low, span) (UNSIGNED_(x - (E_)(low)) <= (span))
#define OUT(low, span) (UNSIGNED_(x - (E_)(low)) > (span))
#define EQ(c) ((x == (E_)(c)) & (i8)-((E_)(c) == (c)))
