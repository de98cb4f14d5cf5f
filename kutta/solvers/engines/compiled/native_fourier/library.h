// The library of transforms that PyTorch brings: one row at a time.

#ifndef KUTTA_LIBRARY
#define KUTTA_LIBRARY

#include <stdexcept>

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

} // namespace kutta_transforms

#endif
