// Blocks of W numbers, one for each lane, as several registers: enough of them at once that one need not wait for
// the other. From the generator: `real`; from `registers_*.h`: `whole`, an integer of its size, and the registers.

template <class X, class Element, int P> struct Parts {
  X part[P];
  DEVICE Element &operator[](int l) { return reinterpret_cast<Element *>(part)[l]; }
  DEVICE Element operator[](int l) const { return reinterpret_cast<const Element *>(part)[l]; }
};
template <class E> struct Itself { typedef E type; };

template <class Element, int P> using Block_of = Parts<typename Register<Element>::type, Element, P>;
template <class Element, int P> using Flags_of = Parts<typename Register<Element>::flags, typename Register<Element>::flag, P>;

typedef Block_of<real, PARTS> V;          // numbers
typedef Flags_of<real, PARTS> M, N;       // which lanes something holds for, all bits or none; whole numbers
typedef Block_of<double, TIME_PARTS> T;   // times
typedef Flags_of<double, TIME_PARTS> Flags; // as M, for times, and what is counted

#define BINARY(op)                                                                                                     \
  template <class X, class E, int P> FUNCTION auto operator op(Parts<X, E, P> a, Parts<X, E, P> b) {              \
    Parts<X, E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = a.part[p] op b.part[p];                                                    \
    return r;                                                                                                          \
  }                                                                                                                    \
  template <class X, class E, int P> FUNCTION auto operator op(Parts<X, E, P> a, typename Itself<E>::type b) {       \
    Parts<X, E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = a.part[p] op b;                                                            \
    return r;                                                                                                          \
  }                                                                                                                    \
  template <class X, class E, int P> FUNCTION auto operator op(typename Itself<E>::type a, Parts<X, E, P> b) {       \
    Parts<X, E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = a op b.part[p];                                                            \
    return r;                                                                                                          \
  }                                                                                                                    \
  template <class X, class E, int P, class Y> FUNCTION auto &operator op##=(Parts<X, E, P> &a, Y b) {             \
    return a = a op b;                                                                                                 \
  }
BINARY(+) BINARY(-) BINARY(*) BINARY(/) BINARY(&) BINARY(|) BINARY(<<) BINARY(>>)

#define COMPARISON(op)                                                                                                 \
  template <class X, class E, int P> FUNCTION auto operator op(Parts<X, E, P> a, Parts<X, E, P> b) {              \
    Flags_of<E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = truth(a.part[p] op b.part[p]);                                                    \
    return r;                                                                                                          \
  }                                                                                                                    \
  template <class X, class E, int P> FUNCTION auto operator op(Parts<X, E, P> a, typename Itself<E>::type b) {       \
    Flags_of<E, P> r;                                                                                                  \
    for (int p = 0; p < P; p++) r.part[p] = truth(a.part[p] op b);                                                           \
    return r;                                                                                                          \
  }
COMPARISON(<) COMPARISON(<=) COMPARISON(>) COMPARISON(>=) COMPARISON(==) COMPARISON(!=)

template <class X, class E, int P> FUNCTION auto operator-(Parts<X, E, P> a) {
  for (int p = 0; p < P; p++) a.part[p] = -a.part[p];
  return a;
}
template <class X, class E, int P> FUNCTION auto operator~(Parts<X, E, P> a) {
  for (int p = 0; p < P; p++) a.part[p] = ~a.part[p];
  return a;
}

// `a` where the condition holds, otherwise `b`.
template <class X, class E, int P> FUNCTION auto sel(Flags_of<E, P> condition, Parts<X, E, P> a, Parts<X, E, P> b) {
  for (int p = 0; p < P; p++) a.part[p] = condition.part[p] ? a.part[p] : b.part[p];
  return a;
}

FUNCTION V splat(real x) { return x - V{}; }
FUNCTION T filled(double x) { return x - T{}; }
FUNCTION N as_bits(V x) { N n; memcpy(&n, &x, sizeof n); return n; }
FUNCTION V from_bits(N n) { V x; memcpy(&x, &n, sizeof x); return x; }
FUNCTION V convert(N n) {
  V x;
  for (int p = 0; p < PARTS; p++) x.part[p] = converted<Register<real>::type>(n.part[p]);
  return x;
}

// Between the precision of states and that of times, a register of times after the other.
template <class To, class Part, class Few, class From> FUNCTION To widened(From x) {
  To result;
  for (int p = 0; p < TIME_PARTS; p++) {
    Few few;
    memcpy(&few, reinterpret_cast<const char *>(&x) + p * sizeof few, sizeof few);
    result.part[p] = converted<Part>(few);
  }
  return result;
}
template <class To, class Few, class From> FUNCTION To narrowed(From x) {
  To result;
  for (int p = 0; p < TIME_PARTS; p++) {
    Few few = converted<Few>(x.part[p]);
    memcpy(reinterpret_cast<char *>(&result) + p * sizeof few, &few, sizeof few);
  }
  return result;
}
FUNCTION V to_real(T x) { return narrowed<V, Few>(x); }
FUNCTION T to_time(V x) { return widened<T, Register<double>::type, Few>(x); }
FUNCTION M to_mask(Flags x) { return narrowed<M, FewFlags>(x); }
FUNCTION Flags to_flags(M x) { return widened<Flags, Register<double>::flags, FewFlags>(x); }

FUNCTION T t_min(T a, T b) { return sel(a < b, a, b); }
FUNCTION T t_max(T a, T b) { return sel(a > b, a, b); }
FUNCTION bool any(Flags x) {
  Flags_of<double, 1> found = {x.part[0]};
  for (int p = 1; p < TIME_PARTS; p++) found.part[0] |= x.part[p];
  long long all = 0;
  for (int l = 0; l < AT_ONCE; l++) all |= found[l];
  return all != 0;
}

FUNCTION double larger(double a, double b) { return a > b ? a : b; }
FUNCTION double smaller(double a, double b) { return a < b ? a : b; }
