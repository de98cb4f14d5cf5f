// Discrete Fourier transforms of real numbers, and of complex ones whose real and imaginary parts lie apart.
//
// Sequences are transformed together, each in its own lane of a vector: numbers that lie side by side, or rows. Where
// there are only a few rows, the library that PyTorch brings does it, whose plans are kept.

#ifndef KUTTA_TRANSFORMS
#define KUTTA_TRANSFORMS

#include <stdint.h>

namespace kutta_transforms {

// Whether there are rows for all lanes. What the library does with one row takes longer than a lane's part, but not
// than all lanes together.
template <class real> bool many(long rows, long n) { return rows >= Lanes<real>::count && Fourier<real>::suits(n); }

// `work(plan, memory, i)` for each group of rows of `n` numbers.
template <class real, class Work> void groups(long rows, long n, Work work) {
  const Fourier<real> &plan = kept<Fourier<real>, real>(COMPLEX, n);
  const long size = Pair<real>::rows;
  all((rows + size - 1) / size, rows * n > WORTH_A_THREAD, [&](long group) {
    work(Pair<real>(plan, memory<real>(0, 6 * n * Lanes<real>::count)), group * size);
  });
}

template <class real> void rows_to_parts(Shape shape, double scale, const real *x, real *out, real *imaginary) {
  const long n = shape.last(), m = n / 2 + 1, rows = shape.rows();
  if (many<real>(rows, n)) {
    groups<real>(rows, n, [&](Pair<real> pair, long row) {
      pair.to_parts(rows - row, scale, x + row * n, out + row * m, imaginary + row * m);
    });
  } else {
    const Row &plan = kept<Row, real>(REAL, n);
    all(rows, rows * n > WORTH_A_THREAD, [&](long row) {
      real *pairs = memory<real>(0, 2 * m);
      DftiComputeForward(plan.handle, (void *)(x + row * n), pairs);
      real *a = out + row * m, *b = imaginary + row * m;
      for (long k = 0; k < m; k++) a[k] = scale * pairs[2 * k], b[k] = scale * pairs[2 * k + 1];
    });
  }
  shape.sizes[shape.axes - 1] = m;
  leading(shape, true, out, imaginary, out, imaginary);
}

template <class real>
void parts_to_rows(const Shape &shape, long n, double scale, const real *x, const real *y, real *out) {
  const long m = shape.last(), rows = shape.rows();
  if (shape.axes > 1) {
    real *own = memory<real>(1, 2 * rows * m);
    leading(shape, false, x, y, own, own + rows * m);
    x = own, y = own + rows * m;
  }
  if (many<real>(rows, n)) {
    groups<real>(rows, n, [&](Pair<real> pair, long row) {
      pair.from_parts(rows - row, scale, x + row * m, y + row * m, out + row * n);
    });
    return;
  }
  const Row &plan = kept<Row, real>(REAL, n);
  all(rows, rows * n > WORTH_A_THREAD, [&](long row) {
    real *pairs = memory<real>(0, 2 * m);
    for (long k = 0; k < m; k++) pairs[2 * k] = scale * x[row * m + k], pairs[2 * k + 1] = scale * y[row * m + k];
    DftiComputeBackward(plan.handle, pairs, out + row * n);
  });
}

// Where there are several axes, one after the other of a batch, so that all of it stays in a near cache.
template <class Work> void one_by_one(Shape shape, Work work) {
  const long count = shape.axes > 1 ? shape.batch : 1;
  shape.batch /= count;
  for (long i = 0; i < count; i++) work(shape, i * shape.rows());
}

template <class real> void real_to_parts(Shape whole, double scale, const real *x, real *out) {
  const long n = whole.last(), m = n / 2 + 1;
  real *imaginary = out + whole.rows() * m;
  one_by_one(whole, [&](const Shape &shape, long first) {
    rows_to_parts(shape, scale, x + first * n, out + first * m, imaginary + first * m);
  });
}

template <class real> void parts_to_real(Shape whole, long n, double scale, const real *x, real *out) {
  const long m = whole.last();
  const real *y = x + whole.rows() * m;
  one_by_one(whole, [&](const Shape &shape, long first) {
    parts_to_rows(shape, n, scale, x + first * m, y + first * m, out + first * n);
  });
}

template <class real> void parts_to_parts(Shape shape, bool forward, double scale, const real *x, real *out) {
  const long n = shape.last(), rows = shape.rows(), size = rows * n;
  const Row &plan = kept<Row, real>(COMPLEX, n);
  const real *y = x + size;
  if (shape.axes > 1) {
    real *own = memory<real>(1, 2 * size);
    leading(shape, forward, x, y, own, own + size);
    x = own, y = own + size;
  }
  all(rows, size > WORTH_A_THREAD, [&](long row) {
    real *a = out + row * n, *b = a + size;
    if (forward) DftiComputeForward(plan.handle, (void *)(x + row * n), (void *)(y + row * n), a, b);
    else DftiComputeForward(plan.handle, (void *)(y + row * n), (void *)(x + row * n), b, a);
    for (long k = 0; k < n; k++) a[k] *= scale, b[k] *= scale;
  });
}

} // namespace kutta_transforms

#endif
