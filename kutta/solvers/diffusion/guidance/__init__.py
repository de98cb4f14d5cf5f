"""Guidance: how a condition steers a model."""
