"""The benchmark: what it reads, and what it makes of that."""
