"""The trust in one server: how it is judged, written down, and reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bore.events import Sink
from bore.events.client import NextKeyLearned, ServerNew, ServerNotRemembered, ServerRemembered, ServerTrusted
from bore.tls.contexts import clientContext, repeatedContext
from bore.tls.errors import ServerNotTrusted
from bore.tls.knownservers import NOTHING, Known, KnownServer, KnownServersError
from bore.tls.serverrecord import Record
from bore.tls.settings import ClientTls
from bore.tls.tlssocket import TlsSocket
from bore.tls.verdict import Expected, Verdict, judge, judgeAgain, keyChanged, presentedBy
from bore.wire.pins import AUTHORITY

#: How many announced keys of a server are written down, or tried to be. Each waits for the disk, and for other clients;
#: a server could announce thousands.
_MAX_ANNOUNCED: Final = 64


class Trust:
    """
    Judges one server by its settings and the file of known servers, and writes new servers down.

    It keeps nothing of a connection: a :class:`~bore.tls.verdict.Verdict` belongs to the one who asked for it.

    :param host: a name or an IP address.
    :param port: its control port.
    :param secret: whether there is a secret, which the server will have to prove.
    :param sink: gets the events.
    :ivar context: what the client offers in the handshake.
    :ivar repeated: the same for a server that should present a certificate again, which is not verified in the
        handshake.
    :ivar name: the server's name in the handshake; empty: none is sent.
    """

    def __init__(self, host: str, port: int, tls: ClientTls, secret: bool, sink: Sink) -> None:
        self._expected = Expected(host, port, tls, secret)
        self._record = Record(tls.knownServers, str(self._expected), tls.lasting)
        self._sink = sink
        self._reported: tuple[str, str] | None = None
        self._learned: set[tuple[str, str]] = set()
        self._announced = 0  # without those that were learned before
        self.context = clientContext(tls.authorities, tls.credentials)
        self.repeated = repeatedContext(tls.credentials)
        self.name = self._expected.name

    def judge(self, sock: TlsSocket) -> Verdict:
        """
        Judge the server of a control connection; without a secret, a new one is written down.

        :raises ServerNotTrusted: see :func:`bore.tls.verdict.judge`.
        """
        presented = presentedBy(sock)
        verdict = judge(presented, self._expected, self._known(presented.key))
        return verdict if self._expected.secret else self._writeDown(verdict)

    def judgeAgain(self, sock: TlsSocket, before: Verdict) -> Verdict:
        """
        Judge the server of a further connection of a session.

        :param before: the verdict on an earlier connection of the session.
        :raises ServerNotTrusted: see :func:`bore.tls.verdict.judgeAgain`.
        """
        if before.accepts(sock):
            return before
        presented = presentedBy(sock)
        return judgeAgain(presented, self._expected, self._known(presented.key))

    def proven(self, verdict: Verdict) -> Verdict:
        """
        The server has proved that it knows the secret: a new one is written down.

        :raises ServerNotTrusted: when another client has written something else down in the meantime.
        """
        return self._writeDown(verdict).verifiedBySecret()

    def report(self, verdict: Verdict) -> None:
        """Report why the server is trusted, unless that was reported last."""
        reason = verdict.key, verdict.why
        if reason != self._reported:
            self._reported = reason
            self._sink.emit(ServerTrusted(str(self._expected), *reason))

    def learn(self, verdict: Verdict, new: str) -> None:
        """
        The server has announced its next key.

        :param verdict: the verdict on the server, which has identified itself.
        :param new: the fingerprint of that key.
        """
        announced = verdict.key, new
        if announced in self._learned or self._announced == _MAX_ANNOUNCED:
            return
        self._announced += 1
        try:
            isNew = self._record.learn(*announced)
            self._learned.add(announced)
            if isNew:
                self._sink.emit(NextKeyLearned(str(self._expected), new))
        except (KnownServersError, OSError) as e:
            self._sink.emit(ServerNotRemembered(str(self._expected), new, getattr(e, "strerror", None) or str(e)))

    def _known(self, presented: str) -> Known:
        """What is known of the server that presents this key."""
        tls = self._expected.tls
        pins = (tls.fingerprint,) if tls.fingerprint is not None else tls.pins
        try:
            if tls.authorities is not None:
                return NOTHING
            if pins:  # a key that was given needs no file
                return (
                    Known(tuple(KnownServer(pin, 0) for pin in pins), given=True)
                    if presented in pins
                    else (self._record.findSuccessors(pins))
                )
            return self._record.find()
        except KnownServersError as e:
            raise ServerNotTrusted(str(e)) from e

    def _writeDown(self, verdict: Verdict) -> Verdict:
        """Write a new server down, and return the verdict on one that is not new any more."""
        if not verdict.new:
            return verdict
        try:
            known = self._record.add(verdict.new)
        except KnownServersError as e:
            raise ServerNotTrusted(str(e)) from e
        except OSError as e:
            known = NOTHING
            self._sink.emit(ServerNotRemembered(str(self._expected), verdict.key, str(e.strerror)))
        if known.servers and all(server.key != verdict.new for server in known.servers):
            raise keyChanged(self._expected, known, verdict.key)
        if not known.servers:
            self._reportNew(verdict)
        return replace(verdict, new="")

    def _reportNew(self, verdict: Verdict) -> None:
        if verdict.new == AUTHORITY:
            return
        if not self._expected.secret:
            self._sink.emit(ServerNew(str(self._expected), verdict.key))
        if not self._record.isVolatile:
            self._sink.emit(ServerRemembered(str(self._expected), str(self._expected.tls.knownServers)))
