"""Surrogates beside solvers that are no better than they need be."""
