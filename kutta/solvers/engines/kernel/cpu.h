// Marks and headers of C++ for a processor.

#define FUNCTION static inline
#define ELEMENTARY static inline
#define ONCE static __attribute__((noinline))
#define DEVICE
#define TABLE static const
#include <math.h>
#include <string.h>

