"""
The client: it shows a local port through a server.

:mod:`~bore.client.service` starts and stops it. A :mod:`~bore.client.link` keeps a session with one of the
:mod:`~bore.client.servers`: :mod:`~bore.client.reconnecting` connects, :mod:`~bore.client.retry` decides when, and
:mod:`~bore.client.control` is the control connection of a :mod:`~bore.client.session`. A
:mod:`~bore.client.tunnelspec` is what the user wants of a :mod:`~bore.client.tunnel`, a :mod:`~bore.client.target`
where its local service is. All :mod:`~bore.client.visitors` share one relay. What happens is an event, and
:mod:`~bore.client.log` logs it.
"""
