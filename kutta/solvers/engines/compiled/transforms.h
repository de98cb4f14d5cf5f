// Discrete Fourier transforms of real numbers, and of complex ones whose real and imaginary parts lie apart.
//
// Along the last axis, the library that PyTorch brings does it, whose plans are kept. Along another one, numbers that
// lie side by side are transformed together, each in its own lane of a vector.

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

template <class real> struct Lanes {
  typedef real V __attribute__((vector_size(64)));
  typedef decltype(V() < V()) Bits;
  enum { count = 64 / sizeof(real) };
};

// The transform of `r` numbers in place.
template <int r, class real, class V> inline __attribute__((always_inline)) void small(V *a, V *b) {
  if (r == 2) {
    V a1 = a[1], b1 = b[1];
    a[1] = a[0] - a1, b[1] = b[0] - b1;
    a[0] += a1, b[0] += b1;
  } else if (r == 4) {
    V a0 = a[0] + a[2], b0 = b[0] + b[2], a1 = a[0] - a[2], b1 = b[0] - b[2];
    V a2 = a[1] + a[3], b2 = b[1] + b[3], a3 = a[1] - a[3], b3 = b[1] - b[3];
    a[0] = a0 + a2, b[0] = b0 + b2, a[2] = a0 - a2, b[2] = b0 - b2;
    a[1] = a1 + b3, b[1] = b1 - a3, a[3] = a1 - b3, b[3] = b1 + a3;
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
template <class real> struct Column {
  typedef typename Lanes<real>::V V;
  long n;
  std::vector<int> radices;
  std::vector<real> cosines, sines;

  Column(int, long n, real) : n(n), cosines(n), sines(n) {
    for (long k = 0; k < n; k++) cosines[k] = cos(2 * M_PI * k / n), sines[k] = -sin(2 * M_PI * k / n);
    long left = n;
    for (int r : {4, 2, 3, 5, 7})
      for (; left % r == 0; left /= r) radices.push_back(r);
  }

  template <int r> void stage(long m, long s, const V *__restrict a, const V *__restrict b, V *__restrict c, V *__restrict d) const {
    for (long p = 0; p < m; p++) {
      real x[r], y[r];
      for (int k = 1; k < r; k++) x[k] = cosines[p * k * s], y[k] = sines[p * k * s];
      for (long q = 0; q < s; q++) {
        V u[r], v[r];
        for (int i = 0; i < r; i++) u[i] = a[q + s * (p + m * i)], v[i] = b[q + s * (p + m * i)];
        small<r, real>(u, v);
        c[q + s * r * p] = u[0], d[q + s * r * p] = v[0];
        for (int k = 1; k < r; k++) {
          c[q + s * (r * p + k)] = u[k] * x[k] - v[k] * y[k];
          d[q + s * (r * p + k)] = u[k] * y[k] + v[k] * x[k];
        }
      }
    }
  }

  // In place of `a` and `b`, with `c` and `d` to work in; says where the results are.
  bool run(V *a, V *b, V *c, V *d) const {
    long size = n, s = 1;
    bool there = false;
    for (int r : radices) {
      if (r == 2) stage<2>(size / r, s, a, b, c, d);
      else if (r == 3) stage<3>(size / r, s, a, b, c, d);
      else if (r == 4) stage<4>(size / r, s, a, b, c, d);
      else if (r == 5) stage<5>(size / r, s, a, b, c, d);
      else stage<7>(size / r, s, a, b, c, d);
      size /= r, s *= r, there = !there;
      std::swap(a, c), std::swap(b, d);
    }
    return there;
  }
};

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
  static thread_local std::vector<real> all[2];
  if (all[which].size() < size + 64) all[which].resize(size + 64);
  return (real *)(((uintptr_t)all[which].data() + 63) & ~(uintptr_t)63);
}

template <class real> inline typename Lanes<real>::V full(const real *x) {
  typename Lanes<real>::V v;
  memcpy(&v, x, sizeof v);
  return v;
}

// Whether all numbers of these bits were zero, of either sign.
template <class Bits> inline bool all_zero(Bits bits) {
  bool zero = true;
  for (size_t i = 0; i < sizeof(Bits) / sizeof(bits[0]); i++) zero &= bits[i] << 1 == 0;
  return zero;
}

// Along the middle axis of (outer, n, inner); in place where the addresses are equal.
template <class real>
void columns(long outer, long n, long inner, bool forward, const real *a, const real *b, real *c, real *d) {
  typedef typename Lanes<real>::V V;
  const long W = Lanes<real>::count, blocks = (inner + W - 1) / W;
  const Column<real> &plan = kept<Column<real>, real>(COMPLEX, n);
  if (!forward) std::swap(a, b), std::swap(c, d); // i conj(z) for z
  all(outer * blocks, outer * n * inner > WORTH_A_THREAD, [&](long block) {
    V *work = (V *)memory<real>(0, 4 * n * W);
    const long first = block % blocks * W, at = block / blocks * n * inner + first;
    if (first + W <= inner) {
      typename Lanes<real>::Bits bits = {};
      for (long k = 0; k < n; k++) {
        V one = full(a + at + k * inner), other = full(b + at + k * inner);
        work[k] = one, work[n + k] = other, bits |= (typename Lanes<real>::Bits)one | (typename Lanes<real>::Bits)other;
      }
      // Of dealiased fields a third is zero.
      if (all_zero(bits)) {
        for (long k = 0; k < n; k++)
          memset(c + at + k * inner, 0, sizeof(V)), memset(d + at + k * inner, 0, sizeof(V));
        return;
      }
    } else {
      memset(work, 0, 2 * n * sizeof(V));
      for (long k = 0; k < n; k++)
        for (long i = 0; i < inner - first; i++)
          work[k][i] = a[at + k * inner + i], work[n + k][i] = b[at + k * inner + i];
    }
    V *found = plan.run(work, work + n, work + 2 * n, work + 3 * n) ? work + 2 * n : work;
    if (first + W <= inner) {
      for (long k = 0; k < n; k++)
        memcpy(c + at + k * inner, found + k, sizeof(V)), memcpy(d + at + k * inner, found + n + k, sizeof(V));
    } else {
      for (long k = 0; k < n; k++)
        for (long i = 0; i < inner - first; i++)
          c[at + k * inner + i] = found[k][i], d[at + k * inner + i] = found[n + k][i];
    }
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

template <class real> void rows_to_parts(Shape shape, double scale, const real *x, real *out, real *imaginary) {
  const long n = shape.last(), m = n / 2 + 1, rows = shape.rows();
  const Row &plan = kept<Row, real>(REAL, n);
  all(rows, rows * n > WORTH_A_THREAD, [&](long row) {
    real *pairs = memory<real>(0, 2 * m);
    DftiComputeForward(plan.handle, (void *)(x + row * n), pairs);
    for (long k = 0; k < m; k++) out[row * m + k] = scale * pairs[2 * k], imaginary[row * m + k] = scale * pairs[2 * k + 1];
  });
  shape.sizes[shape.axes - 1] = m;
  leading(shape, true, out, imaginary, out, imaginary);
}

template <class real>
void parts_to_rows(const Shape &shape, long n, double scale, const real *x, const real *y, real *out) {
  const long m = shape.last(), rows = shape.rows();
  const Row &plan = kept<Row, real>(REAL, n);
  if (shape.axes > 1) {
    real *own = memory<real>(1, 2 * rows * m);
    leading(shape, false, x, y, own, own + rows * m);
    x = own, y = own + rows * m;
  }
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

// A new tensor, and `work` on the addresses of both, of the type that the numbers have.
template <class Work>
AOTITorchError with_result(AtenTensorHandle x, int64_t dim, const int64_t *sizes, AtenTensorHandle *out, Work work) {
  int64_t strides[MOST_AXES], stride = 1;
  int32_t dtype;
  void *from, *to;
  for (int64_t i = dim - 1; i >= 0; i--) strides[i] = stride, stride *= sizes[i];
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(x, &dtype));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_data_ptr(x, &from));
  AOTI_TORCH_ERROR_CODE_CHECK(
      aoti_torch_empty_strided(dim, sizes, strides, dtype, aoti_torch_device_type_cpu(), 0, out));
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_data_ptr(*out, &to));
  if (dtype == aoti_torch_dtype_float32()) work((const float *)from, (float *)to);
  else work((const double *)from, (double *)to);
  return AOTI_TORCH_SUCCESS;
}

struct Sizes {
  int64_t dim, *sizes;
  Sizes(AtenTensorHandle x) {
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dim(x, &dim));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_sizes(x, &sizes));
  }
};

} // namespace kutta_transforms

extern "C" {

AOTITorchError aoti_torch_cpu_real_to_parts(AtenTensorHandle x, int64_t axes, double scale, AtenTensorHandle *out) {
  using namespace kutta_transforms;
  const Sizes given(x);
  int64_t sizes[MOST_AXES] = {2};
  std::copy(given.sizes, given.sizes + given.dim, sizes + 1);
  sizes[given.dim] = sizes[given.dim] / 2 + 1;
  const Shape shape(given.sizes, given.dim, axes);
  return with_result(x, given.dim + 1, sizes, out, [&](auto from, auto to) { real_to_parts(shape, scale, from, to); });
}

AOTITorchError aoti_torch_cpu_parts_to_real(
    AtenTensorHandle x, int64_t axes, int64_t size, double scale, AtenTensorHandle *out) {
  using namespace kutta_transforms;
  const Sizes given(x);
  int64_t sizes[MOST_AXES];
  std::copy(given.sizes + 1, given.sizes + given.dim, sizes);
  sizes[given.dim - 2] = size;
  const Shape shape(given.sizes + 1, given.dim - 1, axes);
  return with_result(x, given.dim - 1, sizes, out, [&](auto from, auto to) { parts_to_real(shape, size, scale, from, to); });
}

AOTITorchError aoti_torch_cpu_parts_to_parts(
    AtenTensorHandle x, int64_t axes, int32_t forward, double scale, AtenTensorHandle *out) {
  using namespace kutta_transforms;
  const Sizes given(x);
  const Shape shape(given.sizes + 1, given.dim - 1, axes);
  return with_result(
      x, given.dim, given.sizes, out, [&](auto from, auto to) { parts_to_parts(shape, forward, scale, from, to); });
}

} // extern "C"

#endif
