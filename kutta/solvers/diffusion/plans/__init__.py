"""Samplers as tables of numbers, and the loop that runs them."""
