"""Choosing a parameter of a solver while it solves."""
