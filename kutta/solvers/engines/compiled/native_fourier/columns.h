// Transforms along all axes but the last: numbers that lie side by side, each in its own lane of a vector.

#ifndef KUTTA_COLUMNS
#define KUTTA_COLUMNS

#include <stdint.h>
#include <string.h>
#include <algorithm>

namespace kutta_transforms {

// Whether all numbers are zero, of either sign. A few at a time: most often the first ones tell.
template <class real> bool all_zero(Place<const real> z, long n) {
  typedef typename Lanes<real>::Bits Bits;
  const long few = 16;
  for (long begin = 0; begin < n; begin += few) {
    Bits bits = {};
    for (long k = begin; k < std::min(n, begin + few); k++) {
      const real *at = z.first + k * z.step;
      bits |= (Bits)full(at) | (Bits)full(at + z.part);
    }
    for (int i = 0; i < Lanes<real>::count; i++)
      if (bits[i] << 1) return false;
  }
  return true;
}

// `width` numbers of each vector.
template <class real> void copy(Place<const real> from, Place<real> to, long n, long width) {
  for (long k = 0; k < n; k++) {
    const real *here = from.first + k * from.step;
    real *there = to.first + k * to.step;
    memcpy(there, here, width * sizeof(real)), memcpy(there + to.part, here + from.part, width * sizeof(real));
  }
}

// Along the middle axis of (outer, n, inner); in place where the addresses are equal.
template <class real>
void columns(long outer, long n, long inner, bool forward, const real *a, const real *b, real *c, real *d) {
  const long W = Lanes<real>::count, blocks = (inner + W - 1) / W;
  const Fourier<real> &plan = kept<Fourier<real>, real>(COMPLEX, n);
  Place<const real> given = {a, b - a, inner};
  Place<real> found = {c, d - c, inner};
  if (!forward) given = given.swapped(), found = found.swapped();
  all(outer * blocks, outer * n * inner > WORTH_A_THREAD, [&](long block) {
    real *work = memory<real>(0, 6 * n * W);
    const long first = block % blocks * W, width = std::min(W, inner - first);
    const Place<const real> from = given.after(block / blocks * n * inner + first);
    const Place<real> to = found.after(block / blocks * n * inner + first), own = {work + 4 * n * W, n * W, W};
    if (width < W) {
      memset(own.first, 0, 2 * n * W * sizeof(real));
      copy(from, own, n, width);
    }
    const Place<const real> whole = width < W ? own : from;
    const bool zero = all_zero(whole, n); // of dealiased fields a third
    if (!zero) plan.run(whole, width < W ? own : to, work);
    if (width < W) copy<real>(own, to, n, width);
    else if (zero) copy(from, to, n, W);
  });
}

// Tensors of `batch` parts, each of which is transformed along all its axes.
struct Shape {
  long batch = 1, axes, sizes[8];
  Shape(const int64_t *shape, int64_t dim, int64_t axes) : axes(axes) {
    for (long i = 0; i < dim - axes; i++) batch *= shape[i];
    for (long i = 0; i < axes; i++) sizes[i] = shape[dim - axes + i];
  }
  long last() const { return sizes[axes - 1]; }
  long rows() const { long n = batch; for (long i = 0; i + 1 < axes; i++) n *= sizes[i]; return n; }
};

// Along all axes but the last.
template <class real>
void leading(const Shape &shape, bool forward, const real *a, const real *b, real *c, real *d) {
  long outer = shape.batch, inner = shape.rows() / shape.batch * shape.last();
  for (long i = 0; i + 1 < shape.axes; i++) {
    inner /= shape.sizes[i];
    columns(outer, shape.sizes[i], inner, forward, a, b, c, d);
    outer *= shape.sizes[i], a = c, b = d;
  }
}

} // namespace kutta_transforms

#endif
