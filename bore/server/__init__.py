"""
The server: it listens on public ports on behalf of its clients.

:mod:`~bore.server.controlport` is the control port, :mod:`~bore.server.unclassified` the connections to it that have
not sent their first message yet, and :mod:`~bore.server.control` one that has. :mod:`~bore.server.tunnels` has all
tunnels, :mod:`~bore.server.tunnel` is one of them and its visitors, :mod:`~bore.server.entrance` is where these come
in, :mod:`~bore.server.tcpentrance` a TCP port as such, and :mod:`~bore.server.ports` chooses it.
:mod:`~bore.server.service` starts and stops it all.
"""
