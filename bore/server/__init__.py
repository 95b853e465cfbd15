"""
The server: it listens on public ports for its clients.

:mod:`~bore.server.service` starts and stops it, and :mod:`~bore.server.server` puts its parts together.

A connection comes in at :mod:`~bore.server.controlport`. It is one of the connections in
:mod:`~bore.server.unclassified` until its first message has come. :mod:`~bore.server.firstmessage` hands it to a
visitor or to the lanes of a session (:mod:`~bore.server.lanepool`); or :mod:`~bore.server.control` begins a
:mod:`~bore.server.session` of a user (:mod:`~bore.server.users`).

A session asks for tunnels by a :mod:`~bore.server.claim`. :mod:`~bore.server.tunnels` opens them, on a port that the
:mod:`~bore.server.registry` grants, with an :mod:`~bore.server.entrance`. A :mod:`~bore.server.tunnel` has the
visitors; those that no client has taken yet are in :mod:`~bore.server.unaccepted`.
"""
