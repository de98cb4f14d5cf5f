// Marks of CUDA C++ for NVRTC, which knows the functions of <math.h> and memcpy, but no headers.

#define FUNCTION static __device__ __forceinline__
#define ELEMENTARY static __device__ __noinline__ // a call is cheap, and compiling a hundred copies is not
#define ONCE static __device__ __noinline__
#define DEVICE __device__ __forceinline__
#define TABLE static __device__ const
#undef INFINITY
#undef NAN
#define INFINITY __longlong_as_double(0x7ff0000000000000)
#define NAN __longlong_as_double(0x7ff8000000000000)

