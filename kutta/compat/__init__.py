"""Faces for switchers: the calls of other libraries, with kutta's engine underneath."""
