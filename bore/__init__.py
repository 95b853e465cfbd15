"""
A self-hosted TCP tunnel: `bore` in Python and Twisted.

What is public: :class:`Tunnel` and :class:`Server`, :mod:`bore.library.endpoint`, the events in :mod:`bore.events`, and
the errors in :mod:`bore.wire.errors`. All else may change with any version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bore.version import __version__

__all__ = ["Server", "Tunnel", "__version__"]

if TYPE_CHECKING:
    from bore.library.server import Server
    from bore.library.tunnel import Tunnel
else:

    def __getattr__(name: str) -> object:
        # Imported when it is used: the programs start without it.
        if name == "Tunnel":
            from bore.library.tunnel import Tunnel

            return Tunnel
        if name == "Server":
            from bore.library.server import Server

            return Server
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
