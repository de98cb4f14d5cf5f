"""Networks on graphs: what a graph is, what is learned of it, and the fixed point that this leads to."""
