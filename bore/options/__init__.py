"""
Every option, once: its flag, its environment variable, its default and its help, for ``bore`` and twistd alike.

:mod:`~bore.options.server` and :mod:`~bore.options.client` have the options of each end,
:mod:`~bore.options.common` those of both, and :mod:`~bore.options.values` reads what they are set to.
"""
