"""
What ``bore local`` and ``bore up`` show on a terminal. Only imported there.

The core knows neither a terminal nor a clock: :mod:`bore.screen.cells` and :mod:`bore.screen.lines` make lines that fit
and that control nothing, :mod:`bore.screen.heading`, :mod:`bore.screen.live`, :mod:`bore.screen.visits` and
:mod:`bore.screen.returns` decide what is in them. :mod:`bore.screen.screen` puts them together,
:mod:`bore.screen.terminal` writes to the terminal, :mod:`bore.screen.keys` reads from it, and
:mod:`bore.screen.start` joins all of it with the program.
"""
