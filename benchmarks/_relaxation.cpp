// Iterations of relaxed methods for a five-point operator, `diagonal` on its diagonal and -`beside` for neighbours, on
// n x n points: counts as kutta.SOR and kutta.CG make them, for tables of many systems and relaxations.

#include <math.h>

#include <vector>

typedef std::vector<double> Field;

// Fields have a rim of zeros, and rows of n + 2.
struct FivePoint {
  long n;
  double diagonal, beside;

  long at(long i, long j) const { return i * (n + 2) + j; }
  double around(const Field& x, long k) const { return x[k - 1] + x[k + 1] + x[k - n - 2] + x[k + n + 2]; }

  template <class Each>
  void each(Each each) const {
    for (long i = 1; i <= n; i++)
      for (long j = 1; j <= n; j++) each(at(i, j));
  }
  double dot(const Field& x, const Field& y) const {
    double sum = 0;
    each([&](long k) { sum += x[k] * y[k]; });
    return sum;
  }
  void apply(const Field& x, Field& image) const {
    each([&](long k) { image[k] = diagonal * x[k] - beside * around(x, k); });
  }
  // z = (2 - omega) / omega (D / omega + U)^-1 D (D / omega + L)^-1 r
  void ssor(double omega, const Field& r, Field& z) const {
    const double share = omega / diagonal, middle = (2.0 - omega) / omega * diagonal;
    for (long i = 1; i <= n; i++)
      for (long j = 1; j <= n; j++) {
        const long k = at(i, j);
        z[k] = share * (r[k] + beside * (z[k - 1] + z[k - n - 2]));
      }
    each([&](long k) { z[k] *= middle; });
    for (long i = n; i >= 1; i--)
      for (long j = n; j >= 1; j--) {
        const long k = at(i, j);
        z[k] = share * (z[k] + beside * (z[k + 1] + z[k + n + 2]));
      }
  }
  Field framed(const double* inner) const {
    Field x((n + 2) * (n + 2), 0.0);
    if (inner)
      for (long i = 0; i < n; i++)
        for (long j = 0; j < n; j++) x[at(i + 1, j + 1)] = inner[i * n + j];
    return x;
  }
};

// Sweeps from zero until |b - A x| <= tolerance |b|.
extern "C" long sor(long n, double diagonal, double beside, double omega, const double* b, double tolerance, long most) {
  const FivePoint a{n, diagonal, beside};
  const Field right = a.framed(b);
  Field x = a.framed(nullptr);
  const double target = tolerance * tolerance * a.dot(right, right);
  for (long step = 1; step <= most; step++) {
    a.each([&](long k) { x[k] += omega * ((right[k] + beside * a.around(x, k)) / diagonal - x[k]); });
    double left = 0;
    a.each([&](long k) {
      const double r = right[k] + beside * a.around(x, k) - diagonal * x[k];
      left += r * r;
    });
    if (left <= target) return step;
  }
  return most;
}

// Conjugate gradients with SSOR from a guess until the residual is `tolerance` times that of the guess.
extern "C" long conjugate_gradients(long n, double diagonal, double beside, double omega, const double* b,
                                    const double* guess, double tolerance, long most) {
  const FivePoint a{n, diagonal, beside};
  Field r = a.framed(b), z = a.framed(nullptr), image = z;
  a.apply(a.framed(guess), image);
  a.each([&](long k) { r[k] -= image[k]; });
  const double target = tolerance * tolerance * a.dot(r, r);
  a.ssor(omega, r, z);
  Field p = z;
  double rho = a.dot(r, z);
  for (long step = 1; step <= most; step++) {
    a.apply(p, image);
    const double length = rho / a.dot(p, image);
    a.each([&](long k) { r[k] -= length * image[k]; });
    if (a.dot(r, r) <= target) return step;
    a.ssor(omega, r, z);
    const double before = rho;
    rho = a.dot(r, z);
    a.each([&](long k) { p[k] = z[k] + rho / before * p[k]; });
  }
  return most;
}
