"""A man in the middle who is a user of the server himself."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Final

from OpenSSL import SSL

from bore.wire.proof import Tags
from bore.wire.secret import Secret
from tests.certificates import Identity
from tests.support import PATIENCE

_LABEL: Final = b"EXPORTER-Channel-Binding"


class UserMiddle:
    """
    Ends TLS to a user and to the server. He knows what a proof is made of, and a secret of his own that the server
    accepts.

    :param to: the server.
    :param identity: what he shows to users.
    :param name: his name.
    :param answer: how he answers the proof of a user: "relayed" (with what the server has answered to his own), "own"
        (with his own secret, for his own name), or "other" (with his own secret, for the user's name).
    :ivar fromUser: the frames that a user has sent.
    :ivar ofServer: how the server has answered the user's proof, his own, and his own with the user's name.
    """

    def __init__(self, host: str, to: tuple[str, int], identity: Identity, name: str, secret: str, answer: str) -> None:
        self._to = to
        self._identity = identity
        self._name = name
        self._secret = Secret(secret)
        self._answer = answer
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.fromUser: list[bytes] = []
        self.ofServer: list[bytes] = []
        self.over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError, SSL.Error):
            self._meet(self._listener.accept()[0])
        self.over.set()

    def _meet(self, plain: socket.socket) -> None:
        user = self._toUser(plain)
        server = self._toServer()
        challenge = _frame(server)
        nonce = bytes.fromhex(json.loads(challenge)["BindingChallenge"])
        user.sendall(challenge + b"\0")
        proof = _frame(user)
        self.fromUser.append(proof)
        server.sendall(proof + b"\0")
        self.ofServer.append(_frame(server))
        for name in (self._name, json.loads(proof)["BindingProof"]["user"]):
            self.ofServer.append(self._logIn(name))
        theirs = bytes.fromhex(json.loads(proof)["BindingProof"]["nonce"])
        user.sendall(self._answerTo(user, nonce, theirs, json.loads(proof)["BindingProof"]["user"]) + b"\0")
        while frame := _frame(user):
            self.fromUser.append(frame)

    def _answerTo(self, user: SSL.Connection, nonce: bytes, theirs: bytes, name: str) -> bytes:
        if self._answer == "relayed":
            return self.ofServer[1]
        tags = Tags(self._secret, _binding(user), nonce, theirs, self._name if self._answer == "own" else name)
        return json.dumps({"BindingAnswer": tags.server.hex()}).encode()

    def _logIn(self, name: str) -> bytes:
        """Prove to the server to be somebody, with his own secret, and return what it answers."""
        server = self._toServer()
        nonce = bytes.fromhex(json.loads(_frame(server))["BindingChallenge"])
        tags = Tags(self._secret, _binding(server), nonce, bytes(32), name)
        proof = {"user": name, "nonce": bytes(32).hex(), "proof": tags.client.hex()}
        server.sendall(json.dumps({"BindingProof": proof}).encode() + b"\0")
        return _frame(server)

    def _toServer(self) -> SSL.Connection:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_alpn_protos([b"bore/1"])
        connection = SSL.Connection(context, _blocking(socket.create_connection(self._to)))
        connection.set_connect_state()
        connection.do_handshake()
        return connection

    def _toUser(self, plain: socket.socket) -> SSL.Connection:
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate(self._identity.certificate)
        context.use_privatekey(self._identity.key)
        context.set_alpn_select_callback(lambda _, offered: offered[0])
        connection = SSL.Connection(context, _blocking(plain))
        connection.set_accept_state()
        connection.do_handshake()
        return connection


def _blocking(sock: socket.socket) -> socket.socket:
    """A socket that OpenSSL can wait at: one with a time-out would not block below Python."""
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, int(PATIENCE).to_bytes(8, "little") + bytes(8))
    return sock


def _binding(connection: SSL.Connection) -> bytes:
    return connection.export_keying_material(_LABEL, 32, b"")


def _frame(connection: SSL.Connection) -> bytes:
    """The next frame; empty at the end."""
    frame = b""
    with contextlib.suppress(SSL.Error):
        while (byte := connection.recv(1)) != b"\0":
            frame += byte
    return frame
