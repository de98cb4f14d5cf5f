"""From data back to noise."""
