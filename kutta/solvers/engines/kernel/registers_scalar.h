// One lane: for a trajectory alone, where blocks would compute the same thing several times, and for a thread of a GPU.

template <int size> struct Whole { typedef long long type; };
template <> struct Whole<4> { typedef int type; };

template <class Element> struct Register {
  typedef Element type;
  typedef typename Whole<sizeof(Element)>::type flag;
  typedef flag flags;
};
enum { PARTS = 1, W = 1, TIME_PARTS = 1, AT_ONCE = 1 };
typedef Whole<sizeof(real)>::type whole;
typedef real Few;
typedef whole FewFlags;

FUNCTION int truth(bool x) { return -int(x); }
template <class To, class From> FUNCTION To converted(From x) { return To(x); }
