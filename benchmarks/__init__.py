"""Benchmarks: one command each, `python -m benchmarks NAME [--quick] [--json]`.

Each measures beside its peers in the same run, in alternating rounds, so that what disturbs the machine
disturbs both: read the ratios. README.md says how.
"""
