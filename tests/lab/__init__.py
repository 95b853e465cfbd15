"""
The laboratory: a network on one machine, faults in it, and what they do to a tunnel.

``python -m tests.lab`` runs the whole matrix and writes docs/reliability.rst; test_faults.py is its short form.
"""
