"""The Well."""
