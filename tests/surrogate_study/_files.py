"""Small surrogate files."""

DARCY = """
title = "small"
seed = 3

[data]
family = "darcy"
points = 8
training = 12
validation = 4
test = 4

[training]
steps = 6
batch = 4
lr = 5e-3
loss = "relative_h1"

[networks.mgno]
kind = "MgNO"
width = 3
layers = 1
sweeps = [1, 2]

[networks.linear]
kind = "PODRegression"
modes = 4

[comparison]
problems = 2
rounds = 1
"""

BURGERS = """
[data]
family = "burgers"
points = 16
end = 0.2
times = 2
training = 6
validation = 2
test = 2

[training]
steps = 4
batch = 6

[networks.fno]
kind = "FNO"
modes = [4]
width = 4
layers = 1
lift = 4
project = 4
change = true

[networks.deeponet]
kind = "FieldDeepONet"
terms = 4
training = { lr = 1e-2, loss = "vrmse" }

[comparison]
problems = 2
rounds = 1
"""
