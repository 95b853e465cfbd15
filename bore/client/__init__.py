"""
The client: it shows a local port through a server.

:mod:`~bore.client.reconnecting` makes the control connection and makes it again, to one of
:mod:`~bore.client.servers`; :mod:`~bore.client.control` is what is said on it, and :mod:`~bore.client.check` sees
whether it is worth anything. :mod:`~bore.client.publicport` knows which port to ask for, :mod:`~bore.client.state`
remembers it. :mod:`~bore.client.visitors` serves the visitors, and :mod:`~bore.client.service` starts and stops it
all.
"""
