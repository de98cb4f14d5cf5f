// Rows of numbers as vectors of one number of each row, and back: squares of numbers, transposed in registers.

#ifndef KUTTA_SQUARES
#define KUTTA_SQUARES

#include <string.h>
#include <utility>

namespace kutta_transforms {

// Entries (i, j) and (j, i) of a square of numbers change places, one bit of i and j after the other.
template <class V, int bit, size_t... j>
inline __attribute__((always_inline)) void exchanged(V &a, V &b, std::index_sequence<j...>) {
  constexpr int W = sizeof...(j);
  const V c = a;
#ifdef __clang__
  a = __builtin_shufflevector(c, b, (j & bit ? W + j - bit : j)...);
  b = __builtin_shufflevector(c, b, (j & bit ? W + j : j + bit)...);
#else
  typedef decltype(V() < V()) Bits;
  a = __builtin_shuffle(c, b, Bits{(j & bit ? W + j - bit : j)...});
  b = __builtin_shuffle(c, b, Bits{(j & bit ? W + j : j + bit)...});
#endif
}

template <int bit, int W, class V> inline __attribute__((always_inline)) void transpose(V (&square)[W]) {
#pragma GCC unroll 16
  for (int i = 0; i < W; i++)
    if (!(i & bit)) exchanged<V, bit>(square[i], square[i + bit], std::make_index_sequence<W>());
  if constexpr (bit > 1) transpose<bit / 2>(square);
}

// Fewer numbers than a vector has, the others zero; and back.
template <class real> __attribute__((noinline)) typename Lanes<real>::V some(const real *x, long count) {
  typename Lanes<real>::V v = {};
  memcpy(&v, x, count * sizeof(real));
  return v;
}
template <class real> __attribute__((noinline)) void put(typename Lanes<real>::V v, real *x, long count) {
  memcpy(x, &v, count * sizeof(real));
}

// So many rows, or as many as there are lanes, one after the other.
template <class real> struct Rows {
  real *first;
  long count, width;
};

// Of numbers k, k + 1, ... of each row a vector. All of them stay in registers.
template <class real, int W>
inline __attribute__((always_inline)) void read(Rows<const real> rows, long k, typename Lanes<real>::V (&square)[W]) {
  const long left = rows.width - k;
#pragma GCC unroll 16
  for (int i = 0; i < W; i++) {
    const real *at = rows.first + i * rows.width + k;
    square[i] = typename Lanes<real>::V{};
    if (i < rows.count) square[i] = left < W ? some(at, left) : full(at);
  }
  transpose<W / 2>(square);
}

// The way back.
template <class real, int W>
inline __attribute__((always_inline)) void write(Rows<real> rows, long k, typename Lanes<real>::V (&square)[W]) {
  const long left = rows.width - k;
  transpose<W / 2>(square);
#pragma GCC unroll 16
  for (int i = 0; i < W; i++) {
    real *at = rows.first + i * rows.width + k;
    if (i >= rows.count) return;
    if (left < W) put<real>(square[i], at, left);
    else memcpy(at, &square[i], sizeof square[i]);
  }
}

} // namespace kutta_transforms

#endif
