"""
The laboratory: a network on one machine, faults in it, and what they do to a tunnel.

``python -m laboratory`` measures the whole matrix and writes docs/reliability.rst; ``tests/laboratory`` has a short
form of it.
"""
