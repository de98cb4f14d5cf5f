"""Random formulas as texts, with their values by arithmetic that knows nothing of texts.

An expression is a pair: its text, and a function of an environment that returns its value and how large the numbers are
that it was computed from, which is what rounding is measured by.
"""

from hypothesis import strategies as st


def number(value):
    return f"{value!r}" if value >= 0 else f"({value!r})", lambda names: (value, abs(value))


def name(one):
    return one, lambda names: names[one]


def plus(a, b):
    return f"({a[0]} + {b[0]})", lambda n: (a[1](n)[0] + b[1](n)[0], a[1](n)[1] + b[1](n)[1])


def minus(a, b):
    return f"({a[0]} - {b[0]})", lambda n: (a[1](n)[0] - b[1](n)[0], a[1](n)[1] + b[1](n)[1])


def times(a, b):
    return f"{a[0]} * {b[0]}", lambda n: (a[1](n)[0] * b[1](n)[0], a[1](n)[1] * b[1](n)[1])


def negative(a):
    return f"(-{a[0]})", lambda n: (-a[1](n)[0], a[1](n)[1])


def squared(a):
    return f"({a[0]})**2", lambda n: (a[1](n)[0] * a[1](n)[0], a[1](n)[1] ** 2)


def over(a, b):
    """``a / (3 + sin(b))``, which is never near a pole."""

    def value(n):
        above, below = a[1](n), b[1](n)
        return above[0] / (3 + n["sin"](below[0])), above[1] * (1 + below[1])

    return f"{a[0]} / (3 + sin({b[0]}))", value


def of_function(function, a):
    """A function whose slope is at most 1."""
    return f"{function}({a[0]})", lambda n: (n[function](a[1](n)[0]), 1 + a[1](n)[1])


def expressions(leaves, *more, leaves_at_most=12):
    """A strategy of expressions; `more` are strategies of expressions made from others."""

    def larger(inner):
        return st.one_of(
            st.builds(plus, inner, inner),
            st.builds(minus, inner, inner),
            st.builds(times, inner, inner),
            st.builds(over, inner, inner),
            st.builds(negative, inner),
            st.builds(squared, inner),
            st.builds(of_function, st.sampled_from(["sin", "cos", "tanh"]), inner),
            *(one(inner) for one in more),
        )

    return st.recursive(leaves, larger, max_leaves=leaves_at_most)


numbers = st.builds(number, st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, -3.25, 7.0]))


def names(*known):
    return st.builds(name, st.sampled_from(known))
