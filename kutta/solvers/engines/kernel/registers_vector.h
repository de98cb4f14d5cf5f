// Registers by the vector types of GCC and Clang: BYTES of the widest machines (on others the compiler uses several),
// PARTS of them in a block.

#include <stdint.h>

enum { BYTES = 64, PARTS = 2 };

template <int size> struct Whole { typedef int64_t type; };
template <> struct Whole<4> { typedef int32_t type; };

// A register of elements, and the whole numbers that comparing two of them gives.
template <class Element> struct Register {
  typedef Element type __attribute__((vector_size(BYTES)));
  typedef typename Whole<sizeof(Element)>::type flag;
  typedef flag flags __attribute__((vector_size(BYTES)));
};
enum { W = PARTS * BYTES / sizeof(real), TIME_PARTS = W * sizeof(double) / BYTES, AT_ONCE = BYTES / sizeof(double) };

// As many numbers of the state as a register has times.
typedef Whole<sizeof(real)>::type whole;
typedef real Few __attribute__((vector_size(AT_ONCE * sizeof(real))));
typedef whole FewFlags __attribute__((vector_size(AT_ONCE * sizeof(real))));

template <class X> FUNCTION X truth(X x) { return x; }
template <class To, class From> FUNCTION To converted(From x) { return __builtin_convertvector(x, To); }
