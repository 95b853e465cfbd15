"""
The client: it shows local services through a server.

:mod:`~bore.client.service` starts and stops it, and changes its tunnels while it runs; :mod:`~bore.client.links` opens
and closes them. A :mod:`~bore.client.link` keeps a session with one of the :mod:`~bore.client.servers`, and its
:mod:`~bore.client.kepttunnels` open in it: :mod:`~bore.client.reconnecting` connects, :mod:`~bore.client.retry`
decides when, and :mod:`~bore.client.control` is the control connection of a :mod:`~bore.client.session`. A
:mod:`~bore.client.tunnelspec` is what the user wants of a :mod:`~bore.client.tunnel`, a :mod:`~bore.client.target`
where its local service is. All :mod:`~bore.client.visitors` share one relay. What happens is an event, and
:mod:`~bore.client.log` logs it.
"""
