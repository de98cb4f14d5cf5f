// Fourier transforms of rows of real numbers, as many as two vectors have lanes at a time.

#ifndef KUTTA_ROWS
#define KUTTA_ROWS

#include <algorithm>

namespace kutta_transforms {

// Real rows x and y as z = x + i y, the first half of all rows as x: X_k = (Z_k + conj(Z_{n-k})) / 2, and
// Y_k = (Z_k - conj(Z_{n-k})) / 2i.
template <class real> struct Pair {
  typedef typename Lanes<real>::V V;
  enum { W = Lanes<real>::count, rows = 2 * W };
  const Fourier<real> &plan;
  const long n, m;
  real *const work;
  const Place<real> z;
  V *const a, *const b;

  // `memory` is for 6 n vectors.
  Pair(const Fourier<real> &plan, real *memory)
      : plan(plan), n(plan.n), m(plan.n / 2 + 1), work(memory + 2 * n * W), z{memory, n * W, W}, a((V *)memory), b(a + n) {}

  // `count` rows of real numbers.
  void to_parts(long count, real scale, const real *x, real *out, real *imaginary) const {
    gather({x, count, n}, a), gather({x + W * n, count - W, n}, b);
    plan.run(z, z, work);
    const real half = scale / 2;
    separate(a, half, half, {out, count, m}), separate(b, half, -half, {imaginary, count, m});
    separate(b, half, half, {out + W * m, count - W, m}), separate(a, -half, half, {imaginary + W * m, count - W, m});
  }

  void from_parts(long count, real scale, const real *x, const real *y, real *out) const {
    join(scale, {x, count, m}, -scale, {y + W * m, count - W, m}, a);
    join(scale, {x + W * m, count - W, m}, scale, {y, count, m}, b);
    plan.run(z.swapped(), z.swapped(), work);
    scatter(a, {out, count, n}), scatter(b, {out + W * n, count - W, n});
  }

private:
  void gather(Rows<const real> given, V *part) const {
    for (long k = 0; k < n; k += W) {
      V square[W];
      read(given, k, square);
#pragma GCC unroll 16
      for (int i = 0; i < W; i++)
        if (k + i < n) part[k + i] = square[i];
    }
  }

  void scatter(const V *part, Rows<real> found) const {
    for (long k = 0; k < n; k += W) {
      V square[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; i++) square[i] = part[std::min(k + i, n - 1)];
      write(found, k, square);
    }
  }

  // one part_k + other part_{n-k}
  void separate(const V *part, real one, real other, Rows<real> found) const {
    for (long k = 0; k < m; k += W) {
      V square[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; i++) {
        const long here = std::min(k + i, m - 1), there = here ? n - here : 0;
        square[i] = one * part[here] + other * part[there];
      }
      write(found, k, square);
    }
  }

  // one even_k + other odd_k, where `odd` changes its sign from k to n - k, and so is zero where these are one.
  void join(real one, Rows<const real> even, real other, Rows<const real> odd, V *part) const {
    for (long k = 0; k < m; k += W) {
      V u[W], v[W];
      read(even, k, u), read(odd, k, v);
#pragma GCC unroll 16
      for (int i = 0; i < W; i++) {
        const long here = k + i, there = here ? n - here : 0;
        if (here >= m) break;
        const V sum = one * u[i], rest = here == there ? V{} : other * v[i];
        part[here] = sum + rest, part[there] = sum - rest;
      }
    }
  }
};

} // namespace kutta_transforms

#endif
