"""
Makes the first corpus: recorded conversations, one of every message, and what belongs to each target::

    python -m fuzz.seeds
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha1
from pathlib import Path
from typing import Final

from bore.wire import binding, extension, messages, workermessages
from bore.wire.extension import (
    Alive,
    Close,
    Closed,
    Extended,
    Goodbye,
    Lane,
    Moved,
    Nodes,
    Open,
    Opened,
    Refused,
    Visitor,
    markedHello,
)
from bore.wire.lane import DATA, END_FRAME, HEADER, RAW_FRAME, RESET_FRAME
from bore.wire.laneopen import openFrame
from bore.wire.messages import Accept, Authenticate, Challenge, Connection, Error, Heartbeat, Hello
from bore.wire.proof import BoundClientProof, proveBase
from bore.wire.proxyprotocol import Version, header
from bore.wire.publicaddress import UnixPath
from bore.wire.serverproof import BaseServerProof, BoundServerProof
from bore.wire.workermessages import ClaimRights
from fuzz.inputs import BINDING, KNOWN, SECRET, TOKEN, VISITOR, notRandom

_CORPUS: Final = Path(__file__).with_name("corpus")
_RECORDED: Final = Path(__file__).parents[1] / "tests/wire/recorded-bore-0.6.0.json"

_SOURCE: Final = ("203.0.113.9", 50123)
_KEY: Final = "SHA256:" + "A" * 43


def recorded() -> list[bytes]:
    """All texts that were recorded from the original."""
    return [text.encode() for text in json.loads(_RECORDED.read_bytes()).values() if isinstance(text, str)]


def _challenge() -> messages.Challenge:
    challenge = messages.decodeServerMessage(BaseServerProof(KNOWN, random=notRandom).challenge()[:-1])
    assert isinstance(challenge, Challenge)
    return challenge


def _requests() -> list[bytes]:
    """What clients send behind their proof."""
    asking = markedHello(8000) + extension.encode(Open(1, 8000, TOKEN))
    return [
        asking + extension.encode(Alive()) + extension.encode(Goodbye()),
        asking + extension.encode(Open(2, 0, key=TOKEN)) + extension.encode(Close(1)) + extension.encode(Open(3, 0)),
        messages.encode(Hello(8000)),
        messages.encode(Accept(VISITOR)) + b"early",
        extension.encode(Lane(TOKEN)) + openFrame(1, VISITOR, _SOURCE),
    ]


def _answers() -> list[bytes]:
    """What servers answer."""
    extended = extension.encode(Extended(1, TOKEN, 0.5, 3, 256))
    news = extension.encode(Visitor(1, VISITOR, _SOURCE)) + messages.encode(Heartbeat())
    return [
        messages.encode(Hello(8000)) + messages.encode(Heartbeat()) + messages.encode(Connection(VISITOR)),
        extended + extension.encode(Opened(1, 8000, TOKEN, 60)) + news + extension.encode(Closed(1)),
        extension.encode(Extended(1, here="tls://a.example"))
        + extension.encode(Nodes(("tls://b.example:7836", "tls://[::1]"))),
        extended + extension.encode(Moved("tls://example.com")) + news + extension.encode(Goodbye()),
        messages.encode(Error("port already in use")),
        extended + extension.encode(Refused("port-in-use", "port already in use", True)),
        extended
        + extension.encode(Refused("port-in-use", "port already in use", True, 2))
        + extension.encode(Opened(1, 8001, TOKEN, 60))
        + extension.encode(Opened(3, 8003, TOKEN, 60))
        + extension.encode(Closed(3, "taken-over", "it is elsewhere", True)),
    ]


def _lanes() -> list[bytes]:
    """Frames of lanes."""
    visit = openFrame(1, VISITOR, _SOURCE, True) + HEADER.pack(DATA, 5) + b"hello"
    return [
        visit + END_FRAME + visit + RESET_FRAME,
        visit + RAW_FRAME + b"bare",
        HEADER.pack(DATA, 3) + b"abc" + END_FRAME,
        openFrame(1, VISITOR, None),
    ]


def _hellos() -> list[bytes]:
    """ClientHellos: with protocols, with none, in one record and in two."""

    def vector(size: int, data: bytes) -> bytes:
        return len(data).to_bytes(size, "big") + data

    names = vector(2, b"\x06bore/1" + b"\x09bore-at/3")
    found = []
    for extensions in (b"\0\0\0\0\0\x10" + vector(2, names), b"\0\x17\0\0", b""):
        body = b"\x03\x03" + bytes(32) + vector(1, bytes(32)) + b"\0\x02\x13\x01\x01\0" + vector(2, extensions)
        message = b"\x01" + vector(3, body)
        for cut in (0, 2, 50):
            parts = [message[:cut], message[cut:]]
            found.append(b"".join(b"\x16\x03\x01" + vector(2, part) for part in parts if part))
    return found


def _ofWorkers() -> list[bytes]:
    """One of each message between the supervisor and a worker."""
    peer, token = ("203.0.113.9", 50123), TOKEN
    return [
        workermessages.encode(each)
        for each in (
            workermessages.Welcome("0.3.0", 1, 1, 2),
            workermessages.Ready("0.3.0", _KEY),
            workermessages.Failed(1, "no certificate"),
            workermessages.Ping(),
            workermessages.Load(3, 40, 1.5),
            workermessages.Pending(7, (("203.0.113.9", 2),)),
            workermessages.Connection(True, peer, b"early", VISITOR),
            workermessages.HandOn(2, (*peer, 0, 1), b"early", None),
            workermessages.Claim(1, 0, token, "alice", "::", True, ClaimRights(((1, 9),), (), 3)),
            workermessages.Claim(1, UnixPath("/run/a"), None, "", "::", False, None),
            workermessages.Abandon(1),
            workermessages.Granted(1, 8000, "", token, 1, False, True),
            workermessages.Refused(1, "port-in-use", "port already in use", True, (1, 9)),
            workermessages.Waiting(1, peer, b"early", 0.5),
            workermessages.Confirm(8000, 1),
            workermessages.Renew(8000, 1),
            workermessages.Release(8000, 1),
            workermessages.Examine(1, (8000, UnixPath("/run/a"))),
            workermessages.Doubtful(1, None),
            workermessages.GiveUp(8000, 1),
            workermessages.HandOver(1, 8000, 1),
            workermessages.HandedOver(1),
            workermessages.CloseTunnel(8000, 1, "KICKED"),
            workermessages.Expired(8000, 1),
            workermessages.DropOldest("203.0.113.9"),
            workermessages.Order(1, "kick", "alice", 8000, 0.5),
            workermessages.Done(1, (1,), ("line",), None),
            workermessages.Report(1, "status"),
            workermessages.Reported(1, b"{}", True),
            workermessages.Retire(3600.0),
            workermessages.End(),
            workermessages.Bye(),
        )
    ]


def conversations() -> dict[str, list[bytes]]:
    """The first inputs of each target; those of sessions without the two bytes that choose."""
    challenge = messages.encode(_challenge())
    bound = BoundServerProof(KNOWN, BINDING, notRandom)
    boundChallenge = binding.decodeServerMessage(bound.challenge()[:-1])
    assert isinstance(boundChallenge, binding.BindingChallenge)
    boundProof = BoundClientProof(SECRET, BINDING, random=notRandom).answer(boundChallenge)
    boundAnswer = bound.check(boundProof[:-1])
    proof = messages.encode(Authenticate(proveBase(SECRET, _challenge().id)))
    inside = bound.challenge() + boundAnswer
    requests, answers, proofs = _requests(), _answers(), [challenge, bound.challenge(), proof, boundProof, boundAnswer]
    return {
        "serverSession": [before + each for before in (b"", proof, boundProof) for each in requests],
        "controlSession": [before + each for before in (b"", challenge, inside) for each in answers],
        "dataSession": [challenge + b"bytes", inside + b"bytes", answers[2]],
        "lane": _lanes(),
        "frames": [b"one\0two\0", b"x" * 300],
        "decoders": [frame for each in (*requests, *answers, *proofs) for frame in _cut(each)],
        "proofs": [each[:-1] for each in proofs],
        "proxyHeader": [b"203.0.113.9\n192.0.2.1", b"2001:db8::1\n192.0.2.1", b"::ffff:192.0.2.1%eth0\n::"],
        "proxyHeaderRead": [
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n",
            b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n",
            b"PROXY UNKNOWN\r\n",
            header(Version.V2, ("192.0.2.7", 4711), ("198.51.100.1", 443)),
            header(Version.V2, ("2001:db8::7", 4711), ("2001:db8::1", 443)),
            header(Version.V2, None, ("::", 1)),
        ],
        "httpRequests": [
            bytes([7]) + each
            for each in (
                b"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html;q=0.5, */*\r\n\r\n",
                b"\r\nHEAD /x HTTP/1.0\n\n",
                b"SSH-2.0-x\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\x16\x03\x01",
            )
        ],
        "clientHellos": _hellos(),
        "plainHints": [
            *requests,
            extension.encode(Lane(f"77.{TOKEN}")),
            b' {"\\u004cane": "7.0123456789abcdef"}\n\0',
            b'{"Accept":"{00070000-0000-4000-8000-000000000000}"}\0',
            b"x" * 300,
        ],
        "addresses": [b"example.com:80", b"[2001:db8::1]:7835", "bücher.example".encode(), b"fe80::1%eth0", b"65535"],
        "localServices": [
            b"80",
            b"5432:20432",
            b"nas.lan:80:8080",
            b"[2001:db8::1]:80:0",
            b"192.0.2.7:80",
            b"unix:/a:80:0",
        ],
        "settingsFiles": [
            b'server = "x"  # [a]\n[tunnel.web]\nlocal = 8000\n[tunnel."a b".c]\nd.e = { f = [1, 2] }\n',
            b'a = """\n[x]\n"""\nb = \'\'\'=\'\'\'\n[[c]]\nd = [\n  # ]\n  "]",\n]\r\n',
        ],
        "knownServers": [
            f"example.com:7835 {_KEY}".encode(),
            b"[2001:db8::1]:7835 authority",
            f"a\\x0020b:1 {_KEY}".encode(),
            f"{_KEY} {_KEY}".encode(),
        ],
        "workerMessages": _ofWorkers(),
        "channelEnds": [
            bytes([state]) + b"\0".join(b"01"[kind : kind + 1] + each for each in _ofWorkers()[first:])
            for state in range(12)
            for first, kind in ((0, 1), (1, 0), (3, 0), (9, 0))
        ],
        "invitations": [
            f"bore://alice:0123456789abcdef@h:1/#{_KEY}".encode(),
            f" bore join bore://a@b.c:0123456789abcde~@[2001:db8::1]/#{_KEY}.authority\n".encode(),
        ],
    }


def _cut(data: bytes) -> Iterable[bytes]:
    return [frame for frame in data.split(b"\0") if frame]


def seeds() -> dict[str, list[bytes]]:
    """The inputs of all targets."""
    inputs = conversations()
    texts = recorded()
    inputs["decoders"] += texts
    for name in ("serverSession", "controlSession", "frames"):
        inputs[name] += [text + b"\0" for text in texts]
    for name, choices in (("serverSession", 6), ("controlSession", 6), ("dataSession", 2), ("lane", 2), ("frames", 2)):
        inputs[name] = [bytes([choice, 7]) + each for each in inputs[name] for choice in range(choices)]
    return inputs


def main() -> None:
    """Write them, each under the name that libFuzzer would give it."""
    for name, inputs in seeds().items():
        folder = _CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for each in inputs:
            (folder / sha1(each, usedforsecurity=False).hexdigest()).write_bytes(each)


if __name__ == "__main__":
    main()
