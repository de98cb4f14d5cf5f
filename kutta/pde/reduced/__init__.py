"""Reduced bases: few modes that hold most of what a family of solutions does."""
