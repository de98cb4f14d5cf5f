"""Explicit methods with many stages, stable along the negative real axis."""
