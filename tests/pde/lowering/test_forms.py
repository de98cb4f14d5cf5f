"""From an equation to ordinary problems: what batches have of their own."""

import pytest
import torch

import kutta as kt


@pytest.mark.parametrize("method", [None, kt.ETDRK4(), kt.ROCK4()], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("kind", ["cells", "nodes", "periodic"])
def test_samples_may_have_coefficients_of_their_own(kind, method):
    grid = {
        "cells": kt.pde.Grid((8, 6), (1.0, 2.0), boundary=(kt.pde.Dirichlet(), kt.pde.Neumann())),
        "nodes": kt.pde.Grid((9, 6), centring="node", boundary=(kt.pde.Dirichlet(1.0), kt.pde.Robin(1.0, 0.5))),
        "periodic": kt.pde.Grid((8, 6)),
    }[kind]
    generator = torch.Generator().manual_seed(0)
    u0 = torch.randn(3, *grid.shape, dtype=torch.float64, generator=generator)
    rates = torch.rand(3, 1, 1, dtype=torch.float64, generator=generator) + 0.1
    for rate in (rates, rates * torch.ones(grid.shape), rates[:1]):
        options = {"rtol": 1e-8, "atol": 1e-10}
        together = kt.solve(kt.pde.Heat(rate).problem(grid, u0, (0.0, 0.05)), method, **options).y1
        for sample in range(3):
            own = rate[sample if len(rate) == 3 else 0]
            alone = kt.solve(kt.pde.Heat(own).problem(grid, u0[sample], (0.0, 0.05)), method, **options).y1
            torch.testing.assert_close(together[sample], alone, rtol=0.0, atol=1e-7)
