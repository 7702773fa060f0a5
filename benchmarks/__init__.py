"""Measured comparisons against named peers, outside the DAG; each runs as `python -m benchmarks.<name>`."""
