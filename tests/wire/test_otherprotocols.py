"""Servers of other protocols, by their first bytes."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.clientsession import ControlSession
from bore.wire.errors import OtherProtocol
from bore.wire.messages import encode
from bore.wire.otherprotocols import otherServer
from bore.wire.proof import clientProof
from tests.wire.sessions import SECRET
from tests.wire.strategies import SERVER_MESSAGES, UNHURRIED, AnyMessage

#: What other servers send to a client of ours, and what they are.
SERVERS: Final = (
    (b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n<html>", "an HTTP server"),
    (b"SSH-2.0-OpenSSH_9.9\r\n", "an SSH server"),
    (b"\x15\x03\x01\x00\x02\x02\x46", "a server with TLS"),
    (b"220 mail.example.com ESMTP\r\n", "a mail or FTP server"),
    (b"+OK Dovecot ready.\r\n", "a POP3 server"),
    (b"* OK [CAPABILITY IMAP4rev1]\r\n", "an IMAP server"),
    (b"RFB 003.008\n", "a VNC server"),
    (b"-ERR unknown command\r\n", "a Redis server"),
    (b"<html><body>400</body></html>", "a web server"),
)


class OtherServersTests(SynchronousTestCase):
    """A client whose server is none of ours."""

    def test_eachIsNamedInWhateverPortionsItsBytesCome(self) -> None:
        for secret in (None, SECRET):
            for sent, kind in SERVERS:
                for size in (1, 2, len(sent)):
                    session = ControlSession(0, clientProof(secret))
                    with self.assertRaises(OtherProtocol) as caught:
                        for start in range(0, len(sent), size):
                            list(session.feed(sent[start : start + size]))
                    self.assertEqual(caught.exception.kind, kind)
                    self.assertEqual(str(caught.exception), f"{kind} answers there, and not 'bore server'")

    @UNHURRIED
    @given(SERVER_MESSAGES)
    def test_noMessageOfOursIsTakenForOneOfTheirs(self, message: AnyMessage) -> None:
        self.assertEqual(otherServer(encode(message)), "")  # type: ignore[arg-type]
