"""
What visitors get when the local service cannot be reached: an error page if they speak HTTP/1, else nothing.

Imported when the first visitor could not be connected.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.relay.interface import Relay
from bore.streams.reactor import IReactor
from bore.wire.httprequest import MAX_HEAD, RequestReader, Start

#: Visitors that are being answered at the same time; further ones are closed. Each takes two descriptors.
MAX_ANSWERING: Final = 512

#: Seconds for which a visitor's request is waited for. One that has come is answered at once.
REQUEST_TIMEOUT: Final = 1.0

#: Seconds for which the rest of a request, such as an upload, is read behind the answer. A visitor that is cut while it
#: sends may lose the answer.
REST_TIMEOUT: Final = 5.0

#: Bytes of the rest that are read at once.
_READ: Final = 1 << 16

# Visitors are strangers: the page names neither the local service nor why it cannot be reached.
_TEXT: Final = b"""\
502 Bad Gateway

The service behind this address cannot be reached at the moment. Please try again later.

If it is yours: the tunnel is up. Start the service; the log of the tunnel's client has the reason.
"""

_HTML: Final = b"""\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>502 Bad Gateway</title>
<style>
  body { font: 18px/1.5 system-ui, sans-serif; max-width: 34em; margin: 15vh auto; padding: 0 1em }
  @media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }
</style>
<h1>This service cannot be reached</h1>
<p>The service behind this address cannot be reached at the moment. Please try again later.</p>
<p><small>502 Bad Gateway. If it is yours: the tunnel is up. Start the service; the log of the tunnel's client has the
reason.</small></p>
</html>
"""


def errorPage(method: bytes, asHtml: bool) -> bytes:
    """
    Return the answer to a request.

    :param asHtml: whether the visitor accepts HTML; else it is plain text.
    """
    kind, body = (b"html", _HTML) if asHtml else (b"plain", _TEXT)
    head = (
        b"HTTP/1.1 502 Bad Gateway",
        b"Content-Type: text/%s; charset=utf-8" % kind,
        b"Content-Length: %d" % len(body),
        b"Cache-Control: no-store",
        b"Connection: close",
        b"\r\n",
    )
    return b"\r\n".join(head) + (b"" if method == b"HEAD" else body)


class ErrorPages:
    """
    Takes the place of local services that cannot be reached: the relay joins each visitor with one end of a pair of
    sockets, and at the other end is this.

    :param relay: joins them.
    """

    def __init__(self, reactor: IReactor, relay: Relay) -> None:
        self._reactor = reactor
        self._relay = relay
        self._answering: dict[_Answering, None] = {}

    def __len__(self) -> int:
        """The number of visitors that are being answered."""
        return len(self._answering)

    def open(self, visitor: socket.socket | None) -> socket.socket | None:
        """
        Answer one more visitor.

        :param visitor: its connection to the server; None: it is on a lane.
        :returns: the socket to join it with; None: too many are being answered, or the system has no room for it.
        """
        if len(self._answering) >= MAX_ANSWERING:
            return None
        try:
            relayed, own = socket.socketpair()
        except OSError:
            return None
        relayed.setblocking(False)
        own.setblocking(False)
        self._answering[_Answering(self._reactor, self, visitor, relayed, own)] = None
        return relayed

    def cut(self, sock: socket.socket) -> None:
        """Cut the visitor that is on this socket, and with a lane that it is on."""
        self._relay.cut({sock})

    def closed(self, answering: _Answering) -> None:
        """A visitor was answered, or closed."""
        self._answering.pop(answering, None)

    def stop(self) -> None:
        """Close the visitors that are being answered."""
        for answering in list(self._answering):
            answering.cut()


@implementer(IReadDescriptor)
class _Answering:
    """
    A visitor whose request is waited for, and then answered.

    :param visitor: its connection to the server; None: it is on a lane.
    :param relayed: the relay's end of the pair of sockets.
    :param own: ours.
    """

    def __init__(
        self,
        reactor: IReactor,
        pages: ErrorPages,
        visitor: socket.socket | None,
        relayed: socket.socket,
        own: socket.socket,
    ) -> None:
        self._reactor = reactor
        self._pages = pages
        self._visitor = visitor
        self._relayed = relayed
        self._socket = own
        self._request = RequestReader()
        self._answered = False
        self._timeout = reactor.callLater(REQUEST_TIMEOUT, self._timedOut)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "ErrorPage"

    def doRead(self) -> None:
        """Read the request, or the rest of it, which is thrown away."""
        try:
            data = self._socket.recv(_READ if self._answered else MAX_HEAD)
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        if not data:
            self._ended()
        elif not self._answered:
            self._request.feed(data)
            if self._request.start is Start.REQUEST:
                self._answer()
            elif self._request.start is Start.OTHER:
                self.cut()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends, or the poll has reported an error of the socket."""
        self._close()

    def cut(self) -> None:
        """
        Close the visitor.

        A lane goes on without it: Linux reports the end of a pair of sockets as a cut if something was left unread, so
        something is. A connection of its own is ended in order, as the original does. If the visitor does not go after
        the page, its connection, or the lane, is cut.
        """
        visitor = self._visitor
        if not self._answered:
            with suppress(OSError):
                if visitor is None:
                    self._relayed.send(b"\0")
                else:
                    visitor.shutdown(socket.SHUT_RDWR)
            self._close()
        else:
            self._close()
            self._pages.cut(visitor or self._relayed)

    def _ended(self) -> None:
        """The visitor sends nothing more."""
        if self._answered:
            self._close()
        elif self._request.method:
            self._answer()
        else:
            self.cut()

    def _timedOut(self) -> None:
        if self._request.method and not self._answered:
            self._answer()
        else:
            self.cut()

    def _answer(self) -> None:
        """Send the page, end the stream, and read on, so that no reset overtakes the page."""
        self._answered = True
        if self._timeout.active():
            self._timeout.cancel()
        self._timeout = self._reactor.callLater(REST_TIMEOUT, self._timedOut)
        try:
            self._socket.send(errorPage(self._request.method, self._request.acceptsHtml))  # an empty buffer takes it
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._timeout.active():
            self._timeout.cancel()
        self._reactor.removeReader(self)
        self._socket.close()
        self._pages.closed(self)
