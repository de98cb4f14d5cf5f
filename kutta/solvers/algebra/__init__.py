"""Linear operators, and what solves with them."""
