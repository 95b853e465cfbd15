"""Connections that send nonsense, and bytes that nearly are a message."""

from __future__ import annotations

import contextlib
import functools
import random
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from typing import Final

from laboratory.pairings import CONTROL_PORT, Site

_BIND_ADDRESS_NO_PORT: Final = 24

#: The share of connections to a TLS server that send their garbage inside TLS.
_INSIDE: Final = 0.1

#: What the attacker starts from.
_SEEDS: Final = (
    b'{"Hello":0}\0',
    b'{"Hello":0} \0{"Open":{"tunnel":1,"port":0,"resume":null}}\0',
    b'{"Hello":0} \0{"Open":{"tunnel":1,"port":0,"resume":"0123456789abcdef0123456789abcdef"}}\0"Alive"\0"Goodbye"\0',
    b'{"Accept":"e4a5288b-95cd-4e87-b945-492a30b38528"}\0some bytes',
    b'{"Authenticate":"2689b476701a21e26f25bdd038fddf59e59eb32616f1442ee206043efc9ee518"}\0{"Hello":1}\0',
    b'{"Lane":"0123456789abcdef0123456789abcdef"}\0\1\0\0\0\2{}',
    b'{"Lane":"1.0123456789abcdef0123456789abcdef"}\0\1\0\0\0\2{}',
    b'{"Accept":"0002288b-95cd-4e87-b945-492a30b38528"}\0some bytes',
    b"GET / HTTP/1.1\r\nHost: tunnel.example\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)


def clientHello() -> bytes:
    """How a client that speaks TLS begins."""
    context, said = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.MemoryBIO()
    context.set_alpn_protocols(["bore/1", "bore-at/1"])
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="tunnel.example").do_handshake()
    return said.read()


def nonsense(draw: random.Random, seeds: Sequence[bytes] = _SEEDS) -> bytes:
    """Random bytes, or something sensible with a few changes."""
    kind = draw.random()
    if kind < 0.3:
        return draw.randbytes(int(2 ** draw.uniform(0, 13)))
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((0, 1, 1, 2, 8))):
        at = draw.randrange(len(data))
        change = draw.randrange(3)
        if change == 0:
            data[at] = draw.randrange(256)
        elif change == 1:
            data[at : at + draw.randrange(8)] = b""
        else:
            data[at:at] = data[at : at + draw.randrange(64)] * draw.randrange(4)
        if not data:
            data += b"\0"
    return bytes(data)


def throw(site: Site, number: int, addresses: list[str], count: int) -> int:
    """Make connections that send garbage; return how many were established."""
    targets = [(site.host, CONTROL_PORT)] * 3 + [(site.host, number)]
    shares = [len(range(n, count, 6)) for n in range(6)]
    tls = site.pairing.tls
    seeds = [*_SEEDS, *[clientHello()] * 3] if tls else _SEEDS
    made = [0] * 6

    def some(n: int) -> None:
        draw = random.Random(n)
        for _ in range(shares[n] * 2):
            if made[n] == shares[n]:
                break
            target = draw.choice(targets)
            inside = tls and target[1] == CONTROL_PORT and draw.random() < _INSIDE
            made[n] += _one(target, draw.choice(addresses), draw, nonsense(draw, seeds), inside)

    threads = [threading.Thread(target=some, args=(n,), daemon=True) for n in range(6)]
    with site.lab.inside("attacker"):
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    return sum(made)


def _one(target: tuple[str, int], address: str, draw: random.Random, data: bytes, inside: bool) -> bool:
    """One connection with garbage, perhaps inside TLS; return whether it was established."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        try:
            sock.settimeout(2)
            sock.setsockopt(socket.SOL_IP, _BIND_ADDRESS_NO_PORT, 1)
            sock.bind((address, 0))
            sock.connect(target)
        except OSError:
            return False
        with contextlib.suppress(OSError):
            if inside:
                sock = stack.enter_context(trusting().wrap_socket(sock))
            sock.settimeout(0.05)
            sock.sendall(data)
            match draw.randrange(3):
                case 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                case 1:
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(1 << 16):
                        pass
    return True


@functools.cache
def trusting() -> ssl.SSLContext:
    """TLS with any server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
