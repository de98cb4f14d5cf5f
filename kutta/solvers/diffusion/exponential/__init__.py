"""Exponential multistep and singlestep rules."""
