"""
HTTP for the admin socket and the status port, with Twisted's parser. It is imported when the first question comes.

Each wait is bounded. A request, and the time between two requests on a connection, may take REQUEST_TIMEOUT, in which
the answer to the one before has to be read, too. Long headers, long bodies and what is not HTTP are refused. A request
that comes before the answer to the one before it waits for that.
"""
# Longer than 300 lines: a request, its connection, and the bounds of both are read together.

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Final
from urllib.parse import parse_qsl, unquote

from twisted.internet import tcp
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from zope.interface import implementer

from bore.status.questions import Answer, Answered, Endless, Question, Refused, Route, errorAnswer
from bore.status.slices import joined, spread
from bore.streams.addresses import socketAddress, sourceOf
from bore.streams.reactor import IReactor
from bore.streams.transport import SocketTransport

#: How long a request may take to come, in seconds.
REQUEST_TIMEOUT: Final = 10.0

#: The longest body of a request, in bytes.
MAX_BODY: Final = 1 << 16

#: How much of an endless response may be unread when more is to be sent, in bytes.
MAX_UNREAD: Final = 1 << 18

#: How many connections of one address may not be cut for those of others, when there are too many.
SHARE: Final = 8

#: How many endless responses there may be at once: the other connections are for questions.
MAX_ENDLESS: Final = 16

#: Headers of each answer: it is true for a moment only, and not for other pages to embed or to guess at.
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Site:
    """
    Serves connections.

    :param answer: answers questions.
    """

    _log: Final = Logger()

    def __init__(self, reactor: IReactor, answer: Route) -> None:
        self.reactor = reactor
        self._answer = answer
        self._channels: dict[_Channel, Callable[[], None]] = {}
        self.endless = 0

    def serve(self, sock: socket.socket, done: Callable[[], None]) -> None:
        """See :class:`bore.status.door.Host`."""
        try:
            address = () if sock.family == socket.AF_UNIX else sock.getpeername()
        except OSError:  # it has left
            sock.close()
            done()
            return
        channel = _Channel(self, socketAddress(address) if address else "unix", sourceOf(address))
        self._channels[channel] = done
        _Transport(sock, channel, self.reactor).start()

    def relieve(self) -> None:
        """See :class:`bore.status.door.Host`. The oldest goes, one between two requests first."""
        counts = Counter(channel.source for channel in self._channels)
        for source, count in counts.most_common():
            waiting = [each for each in self._channels if each.source == source and each.awaitsRequest]
            if count > SHARE and waiting:
                next((each for each in waiting if not each.hasBegun), waiting[0]).abort()
                return

    def close(self) -> None:
        """See :class:`bore.status.door.Host`. What was answered is sent first."""
        for channel in list(self._channels):
            channel.close()

    def closed(self, channel: _Channel) -> None:
        """A connection is closed."""
        done = self._channels.pop(channel, None)
        if done is not None:
            done()

    def ask(self, question: Question) -> Answered:
        """Answer a question; a fault of ours costs only this answer."""
        try:
            return self._answer(question)
        except Refused as e:
            return errorAnswer(e)
        except Exception:
            return self.failed(Failure())

    def failed(self, reason: Failure) -> Answer:
        """The answer after an error."""
        if isinstance(reason.value, Refused):
            return errorAnswer(reason.value)
        self._log.failure("a question could not be answered", reason)
        return errorAnswer(Refused(500, "the program failed to answer, and its log has the reason"))


class _Transport(SocketTransport):
    """A connection of TCP, or a Unix socket."""

    def abort(self) -> None:
        """Cut the connection."""
        tcp.Connection.abortConnection(self)


class _Request(Request):
    """One request, and its answer."""

    channel: _Channel

    def __init__(self, channel: _Channel, queued: object = None) -> None:
        super().__init__(channel, parsePOSTFormSubmission=False)
        self.site = channel.site
        self._left: Callable[[], object] | None = None
        self._size = 0
        self._tooLong = False

    def gotLength(self, length: int | None) -> None:
        Request.gotLength(self, None if length is None else min(length, MAX_BODY))  # longer ones are refused
        if length is not None and length > MAX_BODY:
            self._refuseBody()

    def handleContentChunk(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_BODY:
            self._refuseBody()
        else:
            Request.handleContentChunk(self, data)

    def process(self) -> None:
        if self._tooLong:
            return
        channel, site = self.channel, self.site
        channel.answering = True
        if channel.full:
            channel.waiting = self
            return
        channel.received()
        try:
            question = self._question(channel.peer)
        except UnicodeDecodeError:
            self._send(errorAnswer(Refused(400, "the path and the headers must be UTF-8")))
            return
        answered = site.ask(question)
        if isinstance(answered, Deferred):
            answered.addErrback(site.failed).addCallback(self._send)
        elif isinstance(answered, Endless):
            self._begin(answered)
        else:
            self._send(answered)

    def connectionLost(self, reason: Failure) -> None:
        Request.connectionLost(self, reason)
        self._leave()

    @property
    def unread(self) -> int:
        """See :class:`bore.status.questions.Outlet`."""
        return self.channel.unread

    def write(self, data: bytes) -> None:
        """Write, or cut the connection if its peer has left too much unread before."""
        if self._disconnected or self.finished:
            return
        if self._left is not None and self.channel.unread > MAX_UNREAD:
            self.channel.abort()
        else:
            Request.write(self, data)

    def close(self) -> None:
        """See :class:`bore.status.questions.Outlet`."""
        if not self._disconnected and not self.finished:
            self._leave()
            Request.finish(self)

    def _question(self, peer: str) -> Question:
        path, _, query = self.uri.decode("utf-8").partition("?")
        headers = {
            name.decode("utf-8").lower(): values[-1].decode("utf-8")
            for name, values in self.requestHeaders.getAllRawHeaders()
        }
        assert self.content is not None
        body = self.content.read()
        asked = dict(parse_qsl(query, keep_blank_values=True))
        return Question(self.method.decode("utf-8"), unquote(path, errors="strict"), asked, headers, body, peer)

    def _head(self, code: int, kind: str, headers: dict[str, str]) -> None:
        self.setResponseCode(code)
        for name, each in {**_HEADERS, "Content-Type": kind, **headers}.items():
            Request.setHeader(self, name, each)

    def _send(self, answer: Answer) -> None:
        if self._disconnected:
            return
        if isinstance(answer.body, bytes):
            self._sendBytes(answer, answer.body)
        else:
            self._compose(answer, answer.body)

    def _compose(self, answer: Answer, parts: Iterator[str]) -> None:
        """Make an answer, unless its peer leaves meanwhile."""
        wanted = takewhile(lambda _: not self._disconnected, parts)
        spread(self.site.reactor, joined(wanted)).addCallbacks(
            lambda text: self._sendBytes(answer, text.encode()), lambda reason: self._send(self.site.failed(reason))
        )

    def _sendBytes(self, answer: Answer, body: bytes) -> None:
        if self._disconnected:
            return
        self._head(answer.code, answer.kind, {**answer.headers, "Content-Length": str(len(body))})
        self.write(body)
        Request.finish(self)

    def _begin(self, answer: Endless) -> None:
        site = self.site
        if site.endless >= MAX_ENDLESS:
            self._send(errorAnswer(Refused(503, f"{MAX_ENDLESS} others read this already: try again later")))
            return
        self.channel.answering = False
        self._head(200, answer.kind, dict(answer.headers))
        Request.write(self, b"")
        site.endless += 1
        self._left = lambda: None
        left = answer.begin(self)
        if self._left is None:  # it has ended already
            left()
        else:
            self._left = left

    def _leave(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            self.site.endless -= 1
            left()

    def _refuseBody(self) -> None:
        self._tooLong = True
        self.channel.refuse(413, f"the body may have {MAX_BODY} bytes at most")


@implementer(IHalfCloseableProtocol)
class _Channel(HTTPChannel):
    """
    A connection. A peer that has ended its direction still gets the answers to what it has sent before.

    :param source: the key of limits per address.
    :ivar hasBegun: whether a part of the next request has come.
    :ivar full: whether the answers before have to be read before there can be others.
    :ivar waiting: the request that has come meanwhile.
    :ivar answering: whether a request has come in full, and its answer, which has an end, is made.
    """

    requestFactory: type[Request] = _Request
    timeOut = None  # its time would begin anew with each byte

    transport: _Transport

    def __init__(self, site: Site, peer: str, source: str) -> None:
        HTTPChannel.__init__(self)
        self.site = site
        self.peer = peer
        self.source = source
        self.full = False
        self.waiting: _Request | None = None
        self._deadline: IDelayedCall | None = None
        self.hasBegun = self._ended = False
        self.answering = False

    def connectionMade(self) -> None:
        HTTPChannel.connectionMade(self)
        self._await()

    def dataReceived(self, data: bytes) -> None:
        self.hasBegun = True
        HTTPChannel.dataReceived(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.waiting = None
        self.received()
        HTTPChannel.connectionLost(self, reason)
        self.site.closed(self)

    def readConnectionLost(self) -> None:
        """The peer sends no more."""
        self._ended = True
        if not self.answering:
            self.close()

    def writeConnectionLost(self) -> None:
        """Both directions are only ended together."""

    def pauseProducing(self) -> None:
        """The system takes no more. Twisted would read and answer on in the midst of a request, without a bound."""
        self.full = True
        HTTPChannel.pauseProducing(self)
        self.transport.stopReading()

    def resumeProducing(self) -> None:
        """The system has taken all."""
        self.full = False
        HTTPChannel.resumeProducing(self)
        self.transport.startReading()
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.process()

    def requestDone(self, request: Request) -> None:
        self._await()
        self.answering = False
        HTTPChannel.requestDone(self, request)
        if self._ended and not self.answering:
            self.close()

    def received(self) -> None:
        """A request has come in full: its time is over."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    @property
    def awaitsRequest(self) -> bool:
        """Whether the next request has not come in full."""
        return self._deadline is not None

    @property
    def unread(self) -> int:
        """How many bytes the system has not taken yet."""
        return self.transport.queued

    def abort(self) -> None:
        """Cut the connection."""
        self.received()
        self.transport.abort()

    def close(self) -> None:
        """Close the connection behind what was written."""
        HTTPChannel.loseConnection(self)

    def refuse(self, code: int, text: str) -> None:
        """Answer a request that has not come in full, and close the connection."""
        if self.transport.disconnecting:
            return
        body = json.dumps({"error": text}).encode() + b"\n"
        head = f"HTTP/1.1 {code} Refused\r\nContent-Type: application/json\r\nConnection: close\r\n"
        HTTPChannel.write(self, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.close()

    def getPeer(self) -> IAddress:
        """Of no interest to the parser, which asks for it with each request."""
        return UNIXAddress(None)

    def getHost(self) -> IAddress:
        """See :meth:`getPeer`."""
        return UNIXAddress(None)

    def _await(self) -> None:
        """The next request is due."""
        self.received()
        self.hasBegun = False
        self._deadline = self.site.reactor.callLater(REQUEST_TIMEOUT, self._late)

    def _late(self) -> None:
        self._deadline = None
        if self.waiting is not None:
            self.abort()
        elif self.hasBegun:
            self.refuse(408, f"the request has not come within {REQUEST_TIMEOUT:.0f} s")
        else:
            self.close()
