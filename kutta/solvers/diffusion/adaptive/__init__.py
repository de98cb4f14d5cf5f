"""The sampler that chooses its own steps."""
