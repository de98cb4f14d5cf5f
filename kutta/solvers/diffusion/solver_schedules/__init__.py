"""Solver schedules, and the search for good ones."""
