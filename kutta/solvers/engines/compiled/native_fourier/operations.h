// The transforms as Inductor calls them: of tensors in any order, to new ones.

#ifndef KUTTA_OPERATIONS
#define KUTTA_OPERATIONS

#include <stdint.h>
#include <algorithm>

namespace kutta_transforms {

enum { MOST_AXES = 64 };

// The shape of a tensor, and where its numbers lie.
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
