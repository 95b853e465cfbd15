"""
The server: it listens on public ports on behalf of its clients.

:mod:`~bore.server.control` is the control port, :mod:`~bore.server.tunnel` a public port and its visitors,
:mod:`~bore.server.ports` chooses ports, and :mod:`~bore.server.service` starts and stops it all.
"""
