// Discrete Fourier transforms of as many sequences at a time as a vector has lanes.

#ifndef KUTTA_FOURIER
#define KUTTA_FOURIER

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <utility>
#include <vector>

namespace kutta_transforms {

template <class real> struct Lanes {
  typedef real V __attribute__((vector_size(64)));
  typedef decltype(V() < V()) Bits;
  enum { count = 64 / sizeof(real) };
};

template <class real> inline typename Lanes<real>::V full(const real *x) {
  typename Lanes<real>::V v;
  memcpy(&v, x, sizeof v);
  return v;
}

// Complex numbers in two parts: where the first one of each lane is, how far from its real part the imaginary one is,
// and how far it is from one number to the next.
template <class real> struct Place {
  real *first;
  long part, step;
  operator Place<const real>() const { return {first, part, step}; }
  Place after(long numbers) const { return {first + numbers, part, step}; }
  Place swapped() const { return {first + part, -part, step}; } // i conj(z) for z
};

// (a + i b) exp(-2 pi i turn / r).
template <int r, class real, class V> inline __attribute__((always_inline)) void turned(int turn, V &a, V &b) {
  if (turn == 0) return;
  const V u = a, v = b;
  if (4 * turn == r) {
    a = v, b = -u;
  } else {
    const real c = cos(2 * M_PI * turn / r), s = sin(2 * M_PI * turn / r);
    a = c * u + s * v, b = c * v - s * u;
  }
}

// The transform of `r` numbers in place.
template <int r, class real, class V> inline __attribute__((always_inline)) void small(V *a, V *b);

// The same for r = p q: of all sequences with a step of `q`, and then across them.
template <int p, int q, class real, class V> inline __attribute__((always_inline)) void product(V *a, V *b) {
  V c[q][p], d[q][p];
#pragma GCC unroll 4
  for (int j = 0; j < q; j++) {
#pragma GCC unroll 4
    for (int i = 0; i < p; i++) c[j][i] = a[q * i + j], d[j][i] = b[q * i + j];
    small<p, real>(c[j], d[j]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < p; i++) {
    V u[q], v[q];
#pragma GCC unroll 4
    for (int j = 0; j < q; j++) {
      u[j] = c[j][i], v[j] = d[j][i];
      turned<p * q, real>(i * j, u[j], v[j]);
    }
    small<q, real>(u, v);
#pragma GCC unroll 4
    for (int j = 0; j < q; j++) a[i + p * j] = u[j], b[i + p * j] = v[j];
  }
}

template <int r, class real, class V> inline __attribute__((always_inline)) void small(V *a, V *b) {
  if constexpr (r == 2) {
    V a1 = a[1], b1 = b[1];
    a[1] = a[0] - a1, b[1] = b[0] - b1;
    a[0] += a1, b[0] += b1;
  } else if constexpr (r == 4) {
    V a0 = a[0] + a[2], b0 = b[0] + b[2], a1 = a[0] - a[2], b1 = b[0] - b[2];
    V a2 = a[1] + a[3], b2 = b[1] + b[3], a3 = a[1] - a[3], b3 = b[1] - b[3];
    a[0] = a0 + a2, b[0] = b0 + b2, a[2] = a0 - a2, b[2] = b0 - b2;
    a[1] = a1 + b3, b[1] = b1 - a3, a[3] = a1 - b3, b[3] = b1 + a3;
  } else if constexpr (r == 8) {
    product<4, 2, real>(a, b);
  } else { // odd: numbers i and r - i together
    const int half = r / 2;
    V sum_a[half + 1], sum_b[half + 1], dif_a[half + 1], dif_b[half + 1], a0 = a[0], b0 = b[0];
    for (int i = 1; i <= half; i++) {
      sum_a[i] = a[i] + a[r - i], sum_b[i] = b[i] + b[r - i];
      dif_a[i] = a[i] - a[r - i], dif_b[i] = b[i] - b[r - i];
      a[0] += sum_a[i], b[0] += sum_b[i];
    }
    for (int k = 1; k <= half; k++) {
      V even_a = a0, even_b = b0, odd_a = {}, odd_b = {};
      for (int i = 1; i <= half; i++) {
        const real c = cos(2 * M_PI * (i * k % r) / r), s = sin(2 * M_PI * (i * k % r) / r);
        even_a += c * sum_a[i], even_b += c * sum_b[i], odd_a += s * dif_a[i], odd_b += s * dif_b[i];
      }
      a[k] = even_a + odd_b, b[k] = even_b - odd_a, a[r - k] = even_a - odd_b, b[r - k] = even_b + odd_a;
    }
  }
}

// Stockham's algorithm: after each stage the numbers are in order.
template <class real> struct Fourier {
  typedef typename Lanes<real>::V V;
  enum { W = Lanes<real>::count };
  long n;
  std::vector<int> radices;
  std::vector<real> cosines, sines;

  // Whether all factors of a length are small.
  static bool suits(long n) {
    for (int r : {2, 3, 5, 7})
      while (n % r == 0) n /= r;
    return n == 1;
  }

  Fourier(int, long n, real) : n(n), cosines(n), sines(n) {
    for (long k = 0; k < n; k++) cosines[k] = cos(2 * M_PI * k / n), sines[k] = -sin(2 * M_PI * k / n);
    long left = n;
    for (int r : {3, 5, 7})
      for (; left % r == 0; left /= r) radices.push_back(r);
    // Twos together, as eights and as few fours as leave only these: fewest ways to memory and back.
    const long twos = __builtin_ctzl(left), fours = twos == 1 ? 0 : (3 - twos % 3) % 3;
    radices.insert(radices.end(), fours, 4);
    radices.insert(radices.end(), (twos - 2 * fours) / 3, 8);
    if (twos == 1) radices.push_back(2);
    if (n == 1) radices.push_back(1);
  }

  template <int r> void stage(long m, long s, Place<const real> from, Place<real> to) const {
    const long near = s * to.step, far = s * m * from.step;
    for (long p = 0; p < m; p++) {
      real x[r], y[r];
#pragma GCC unroll 8
      for (int k = 1; k < r; k++) x[k] = cosines[p * k * s], y[k] = sines[p * k * s];
      const real *given = from.first + p * s * from.step;
      real *found = to.first + p * r * near;
      for (long q = 0; q < s; q++, given += from.step, found += to.step) {
        V u[r], v[r];
#pragma GCC unroll 8
        for (int i = 0; i < r; i++) u[i] = full(given + i * far), v[i] = full(given + i * far + from.part);
        small<r, real>(u, v);
#pragma GCC unroll 8
        for (int k = 0; k < r; k++) {
          V a = u[k], b = v[k];
          if (k && p) a = u[k] * x[k] - v[k] * y[k], b = u[k] * y[k] + v[k] * x[k];
          memcpy(found + k * near, &a, sizeof(V)), memcpy(found + k * near + to.part, &b, sizeof(V));
        }
      }
    }
  }

  // The results may take the place of what is given; `work` has 4 n vectors.
  void run(Place<const real> from, Place<real> to, real *work) const {
    Place<real> next = {work, n * W, W}, other = {work + 2 * n * W, n * W, W};
    long size = n, s = 1;
    for (size_t i = 0; i < radices.size(); i++) {
      const int r = radices[i];
      const Place<real> here = i + 1 < radices.size() ? next : to;
      if (r == 8) stage<8>(size / r, s, from, here);
      else if (r == 4) stage<4>(size / r, s, from, here);
      else if (r == 2) stage<2>(size / r, s, from, here);
      else if (r == 3) stage<3>(size / r, s, from, here);
      else if (r == 5) stage<5>(size / r, s, from, here);
      else if (r == 7) stage<7>(size / r, s, from, here);
      else stage<1>(size / r, s, from, here);
      size /= r, s *= r, from = here;
      std::swap(next, other);
    }
  }
};

} // namespace kutta_transforms

#endif
