"""The engine, measured on the CPU: beside its peers, its overhead, a long prompt that joins, a prompt known before."""
