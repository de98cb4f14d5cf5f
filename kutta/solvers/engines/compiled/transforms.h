// Discrete Fourier transforms of real numbers, and of complex ones whose real and imaginary parts lie apart.
//
// Sequences are transformed together, each in its own lane of a vector: numbers that lie side by side, or rows. Where
// there are only a few rows, the library that PyTorch brings does it, whose plans are kept.

#ifndef KUTTA_TRANSFORMS
#define KUTTA_TRANSFORMS

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <algorithm>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

extern "C" {
long DftiCreateDescriptor_s_1d(void **, int, long);
long DftiCreateDescriptor_d_1d(void **, int, long);
long DftiSetValue(void *, int, ...);
long DftiCommitDescriptor(void *);
long DftiComputeForward(void *, void *, ...);
long DftiComputeBackward(void *, void *, ...);
}

namespace kutta_transforms {

// Names and values of the library.
enum { COMPLEX_STORAGE = 8, EVEN_STORAGE = 10, PLACEMENT = 11, THREAD_LIMIT = 27 };
enum { COMPLEX = 32, REAL = 33, COMPLEX_COMPLEX = 39, REAL_REAL = 42, NOT_INPLACE = 44 };

// Entries from which on a second thread is woken.
enum { WORTH_A_THREAD = 1 << 14 };

inline void check(long status) {
  if (status) throw std::runtime_error("a Fourier transform failed");
}

// A transform of `n` numbers: real ones, or complex ones in two parts.
struct Row {
  void *handle = nullptr;
  Row(int domain, long n, float) { check(DftiCreateDescriptor_s_1d(&handle, domain, n)), commit(domain); }
  Row(int domain, long n, double) { check(DftiCreateDescriptor_d_1d(&handle, domain, n)), commit(domain); }
  void commit(int domain) {
    check(DftiSetValue(handle, PLACEMENT, NOT_INPLACE));
    if (domain == REAL) check(DftiSetValue(handle, EVEN_STORAGE, COMPLEX_COMPLEX));
    else check(DftiSetValue(handle, COMPLEX_STORAGE, REAL_REAL));
    check(DftiSetValue(handle, THREAD_LIMIT, 1));
    check(DftiCommitDescriptor(handle));
  }
};

// Kept as long as the process lives; equal ones are made once.
template <class Made, class real> const Made &kept(int domain, long n) {
  static std::mutex lock;
  static std::map<std::pair<int, long>, Made *> all;
  std::lock_guard<std::mutex> guard(lock);
  Made *&found = all[{domain, n}];
  if (!found) found = new Made(domain, n, real());
  return *found;
}

// `work(i)` for all `i`, on several threads where there is enough to do. A team even of one thread costs a system call.
template <class Work> void all(long count, bool worth_a_thread, Work work) {
  if (!worth_a_thread) {
    for (long i = 0; i < count; i++) work(i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (long i = 0; i < count; i++) work(i);
}

// Memory of one thread, for all its transforms. Each begins with a cache line.
template <class real> real *memory(long which, size_t size) {
  static thread_local std::vector<real> all[3];
  if (all[which].size() < size + 64) all[which].resize(size + 64);
  return (real *)(((uintptr_t)all[which].data() + 63) & ~(uintptr_t)63);
}

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

enum { MOST_AXES = 64 };

struct Given {
  int64_t dim, *sizes, *strides;
  Given(AtenTensorHandle x) {
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dim(x, &dim));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_sizes(x, &sizes));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_strides(x, &strides));
  }

  // The numbers one after the other, copied where they lie otherwise.
  template <class real> const real *in_order(const real *x) const {
    int64_t count = 1, place[MOST_AXES] = {};
    bool ordered = true;
    for (int64_t i = dim - 1; i >= 0; i--) ordered &= sizes[i] == 1 || strides[i] == count, count *= sizes[i];
    if (ordered) return x;
    real *own = memory<real>(2, count);
    for (int64_t k = 0; k < count; k++) {
      own[k] = *x;
      for (int64_t i = dim - 1; i >= 0; i--) {
        x += strides[i];
        if (++place[i] < sizes[i]) break;
        x -= strides[i] * sizes[i], place[i] = 0;
      }
    }
    return own;
  }
};

// A new tensor, and `work` on the addresses of both, of the type that the numbers have.
template <class Work>
AOTITorchError with_result(
    AtenTensorHandle x, const Given &given, int64_t dim, const int64_t *sizes, AtenTensorHandle *out, Work work) {
  int64_t strides[MOST_AXES], stride = 1;
  int32_t dtype;
  void *from, *to;
  for (int64_t i = dim - 1; i >= 0; i--) strides[i] = stride, stride *= sizes[i];
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(x, &dtype));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_data_ptr(x, &from));
  AOTI_TORCH_ERROR_CODE_CHECK(
      aoti_torch_empty_strided(dim, sizes, strides, dtype, aoti_torch_device_type_cpu(), 0, out));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_data_ptr(*out, &to));
  if (dtype == aoti_torch_dtype_float32()) work(given.in_order((const float *)from), (float *)to);
  else work(given.in_order((const double *)from), (double *)to);
  return AOTI_TORCH_SUCCESS;
}

} // namespace kutta_transforms

extern "C" {

AOTITorchError aoti_torch_cpu_real_to_parts(AtenTensorHandle x, int64_t axes, double scale, AtenTensorHandle *out) {
  using namespace kutta_transforms;
  const Given given(x);
  int64_t sizes[MOST_AXES] = {2};
  std::copy(given.sizes, given.sizes + given.dim, sizes + 1);
  sizes[given.dim] = sizes[given.dim] / 2 + 1;
  const Shape shape(given.sizes, given.dim, axes);
  return with_result(
      x, given, given.dim + 1, sizes, out, [&](auto from, auto to) { real_to_parts(shape, scale, from, to); });
}

AOTITorchError aoti_torch_cpu_parts_to_real(
    AtenTensorHandle x, int64_t axes, int64_t size, double scale, AtenTensorHandle *out) {
  using namespace kutta_transforms;
  const Given given(x);
  int64_t sizes[MOST_AXES];
  std::copy(given.sizes + 1, given.sizes + given.dim, sizes);
  sizes[given.dim - 2] = size;
  const Shape shape(given.sizes + 1, given.dim - 1, axes);
  return with_result(
      x, given, given.dim - 1, sizes, out, [&](auto from, auto to) { parts_to_real(shape, size, scale, from, to); });
}

AOTITorchError aoti_torch_cpu_parts_to_parts(
    AtenTensorHandle x, int64_t axes, int32_t forward, double scale, AtenTensorHandle *out) {
  using namespace kutta_transforms;
  const Given given(x);
  const Shape shape(given.sizes + 1, given.dim - 1, axes);
  return with_result(
      x, given, given.dim, given.sizes, out, [&](auto from, auto to) { parts_to_parts(shape, forward, scale, from, to); });
}

} // extern "C"

#endif
