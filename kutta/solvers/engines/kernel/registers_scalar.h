// One lane: for a trajectory alone, where blocks would compute the same thing several times.

#define FUNCTION static inline
#define ONCE static __attribute__((noinline))
#define DEVICE
#include <math.h>
#include <stdint.h>
#include <string.h>

template <int size> struct Whole { typedef int64_t type; };
template <> struct Whole<4> { typedef int32_t type; };

template <class Element> struct Register {
  typedef Element type;
  typedef typename Whole<sizeof(Element)>::type flag;
  typedef flag flags;
};
enum { PARTS = 1, W = 1, TIME_PARTS = 1, AT_ONCE = 1 };
typedef real Few;
typedef whole FewFlags;

FUNCTION int truth(bool x) { return -int(x); }
template <class To, class From> FUNCTION To converted(From x) { return To(x); }
