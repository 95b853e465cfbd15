"""
This package as a library: :class:`bore.Tunnel`, :class:`bore.Server`, and the endpoint behind ``bore:`` strings.

:mod:`~bore.library.tunnel` and :mod:`~bore.library.server` are the two classes, :mod:`~bore.library.endpoint` a tunnel
as a server endpoint of Twisted, :mod:`~bore.library.arrivals` how its visitors become transports,
:mod:`~bore.library.words` how parameters become options, and :mod:`~bore.library.pytestplugin` the fixture for pytest.
"""
