"""Samplers with names of their own."""
