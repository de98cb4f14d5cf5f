"""Samplers with momentum, and their regions of stability."""
