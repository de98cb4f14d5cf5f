"""Noise levels: schedules, grids of times, and what a model predicts."""
