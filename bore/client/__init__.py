"""
The client: it shows a local port through a server.

:mod:`~bore.client.control` keeps the control connection, :mod:`~bore.client.visitors` serves the visitors,
:mod:`~bore.client.publicport` remembers which port to ask for, and :mod:`~bore.client.service` starts and stops it
all.
"""
