"""Measurements behind the documented claims, one command each: `python -m benchmarks.NAME --help`."""
