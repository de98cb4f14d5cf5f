"""Metrics of predicted fields (`kutta.operators.metrics`), of which any may be a loss."""

from kutta.operators.metrics.errors import (
    boundary_error,
    conservation_error,
    max_error,
    nrmse,
    relative_l2,
    rmse,
    vrmse,
)
from kutta.operators.metrics.seams import seams
from kutta.operators.metrics.sobolev import published_h1, relative_h1
from kutta.operators.metrics.spectra import energy_spectrum, fourier_errors, spectrum_distance
from kutta.operators.metrics.trajectories import correlation, correlation_time

__all__ = [
    "boundary_error",
    "conservation_error",
    "correlation",
    "correlation_time",
    "energy_spectrum",
    "fourier_errors",
    "max_error",
    "nrmse",
    "published_h1",
    "relative_h1",
    "relative_l2",
    "rmse",
    "seams",
    "spectrum_distance",
    "vrmse",
]
