"""One file a question, each against named peers in one run: ``python -m benchmarks.<name>``."""
