"""Which expert predicts where."""
