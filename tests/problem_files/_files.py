"""Small problem files."""

import tomllib

PARTIAL = """
[equation]
text = "k * laplace(u) - u + sin(pi * x)"
parameters = { k = 0.1 }

[grid]
shape = 16
boundary = "neumann"

[start]
u = "cos(pi * x)"

[time]
span = [0.0, 0.1]
save = 3
"""

ORDINARY = """
[ode.rates]
q = "p"
p = "-k * q + 0 * t"

[ode.parameters]
k = 4.0

[start]
q = "k / 4"
p = 0

[time]
span = [0, 1]
save = [0.5, 1.0]

[solve]
rtol = 1e-9
atol = 1e-9
"""


def changed(text, path, value):
    """The tables of a file with one key changed, or without it."""
    content = tomllib.loads(text)
    *tables, key = path.split(".")
    inner = content
    for table in tables:
        inner = inner.setdefault(table, {})
    if value is None:
        del inner[key]
    else:
        inner[key] = value
    return content
