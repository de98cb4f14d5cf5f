// Blocks of W numbers, one for each lane, as several registers: enough of them at once that one need not wait for
// the other. From the generator: `real`, `whole` (an integer of its size), BYTES of a register, PARTS of a block.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

template <class X, class Element, int P> struct Parts {
  X part[P];
  Element &operator[](int l) { return reinterpret_cast<Element *>(part)[l]; }
  Element operator[](int l) const { return reinterpret_cast<const Element *>(part)[l]; }
};

// A register of elements, and the whole numbers that comparing two of them gives.
template <class Element> struct Register {
  typedef Element type __attribute__((vector_size(BYTES)));
  typedef std::conditional_t<sizeof(Element) == 8, int64_t, int32_t> flag;
  typedef flag flags __attribute__((vector_size(BYTES)));
};
template <class Element, int P> using Block_of = Parts<typename Register<Element>::type, Element, P>;
template <class Element, int P> using Flags_of = Parts<typename Register<Element>::flags, typename Register<Element>::flag, P>;

enum { W = PARTS * BYTES / sizeof(real), TIME_PARTS = W * sizeof(double) / BYTES };
typedef Block_of<real, PARTS> V;          // numbers
typedef Flags_of<real, PARTS> M, N;       // which lanes something holds for, all bits or none; whole numbers
typedef Block_of<double, TIME_PARTS> T;   // times
typedef Flags_of<double, TIME_PARTS> Flags; // as M, for times, and what is counted

#define BINARY(op)                                                                                                     \
  template <class X, class E, int P> static inline auto operator op(Parts<X, E, P> a, Parts<X, E, P> b) {              \
    Parts<X, E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = a.part[p] op b.part[p];                                                    \
    return r;                                                                                                          \
  }                                                                                                                    \
  template <class X, class E, int P> static inline auto operator op(Parts<X, E, P> a, std::common_type_t<E> b) {       \
    Parts<X, E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = a.part[p] op b;                                                            \
    return r;                                                                                                          \
  }                                                                                                                    \
  template <class X, class E, int P> static inline auto operator op(std::common_type_t<E> a, Parts<X, E, P> b) {       \
    Parts<X, E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = a op b.part[p];                                                            \
    return r;                                                                                                          \
  }                                                                                                                    \
  template <class X, class E, int P, class Y> static inline auto &operator op##=(Parts<X, E, P> &a, Y b) {             \
    return a = a op b;                                                                                                 \
  }
BINARY(+) BINARY(-) BINARY(*) BINARY(/) BINARY(&) BINARY(|) BINARY(<<) BINARY(>>)

#define COMPARISON(op)                                                                                                 \
  template <class X, class E, int P> static inline auto operator op(Parts<X, E, P> a, Parts<X, E, P> b) {              \
    Flags_of<E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = a.part[p] op b.part[p];                                                    \
    return r;                                                                                                          \
  }                                                                                                                    \
  template <class X, class E, int P> static inline auto operator op(Parts<X, E, P> a, std::common_type_t<E> b) {       \
    Flags_of<E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = a.part[p] op b;                                                            \
    return r;                                                                                                          \
  }
COMPARISON(<) COMPARISON(<=) COMPARISON(>) COMPARISON(>=) COMPARISON(==) COMPARISON(!=)

template <class X, class E, int P> static inline auto operator-(Parts<X, E, P> a) {
  for (int p = 0; p < P; p++) a.part[p] = -a.part[p];
  return a;
}
template <class X, class E, int P> static inline auto operator~(Parts<X, E, P> a) {
  for (int p = 0; p < P; p++) a.part[p] = ~a.part[p];
  return a;
}

// `a` where the condition holds, otherwise `b`.
template <class X, class E, int P> static inline auto sel(Flags_of<E, P> condition, Parts<X, E, P> a, Parts<X, E, P> b) {
  for (int p = 0; p < P; p++) a.part[p] = condition.part[p] ? a.part[p] : b.part[p];
  return a;
}

static inline V splat(real x) { return x - V{}; }
static inline T filled(double x) { return x - T{}; }
static inline N as_bits(V x) { N n; std::memcpy(&n, &x, sizeof n); return n; }
static inline V from_bits(N n) { V x; std::memcpy(&x, &n, sizeof x); return x; }
static inline V convert(N n) {
  V x;
  for (int p = 0; p < PARTS; p++) x.part[p] = __builtin_convertvector(n.part[p], Register<real>::type);
  return x;
}

// Between the precision of states and that of times, a register of times after the other.
enum { AT_ONCE = BYTES / sizeof(double) };
typedef real Few __attribute__((vector_size(AT_ONCE * sizeof(real))));
typedef whole FewFlags __attribute__((vector_size(AT_ONCE * sizeof(real))));
template <class To, class Middle, class From> static inline To widened(From x) {
  To result;
  for (int p = 0; p < TIME_PARTS; p++) {
    Middle few;
    std::memcpy(&few, reinterpret_cast<const char *>(&x) + p * sizeof few, sizeof few);
    result.part[p] = __builtin_convertvector(few, std::remove_reference_t<decltype(result.part[p])>);
  }
  return result;
}
template <class To, class Middle, class From> static inline To narrowed(From x) {
  To result;
  for (int p = 0; p < TIME_PARTS; p++) {
    Middle few = __builtin_convertvector(x.part[p], Middle);
    std::memcpy(reinterpret_cast<char *>(&result) + p * sizeof few, &few, sizeof few);
  }
  return result;
}
static inline V to_real(T x) { return narrowed<V, Few>(x); }
static inline T to_time(V x) { return widened<T, Few>(x); }
static inline M to_mask(Flags x) { return narrowed<M, FewFlags>(x); }
static inline Flags to_flags(M x) { return widened<Flags, FewFlags>(x); }

static inline T t_min(T a, T b) { return sel(a < b, a, b); }
static inline T t_max(T a, T b) { return sel(a > b, a, b); }
static inline bool any(Flags x) {
  auto found = x.part[0];
  for (int p = 1; p < TIME_PARTS; p++) found |= x.part[p];
  int64_t all = 0;
  for (int l = 0; l < AT_ONCE; l++) all |= found[l];
  return all != 0;
}
