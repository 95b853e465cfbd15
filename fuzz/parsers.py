"""Targets: frames, messages, and what people write."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import suppress

from bore.config.positions import lineOf, linesOf, withTables
from bore.option import withoutSecrets
from bore.options.invitation import parseInvitation
from bore.options.localservice import localServiceOrTunnel
from bore.streams.addresses import asciiName, hostPort, isLiteral, parseHostPort, parsePort
from bore.tls import knownservers
from bore.wire import binding, extension, messages, proxyprotocol
from bore.wire.binding import BindingAnswer, BindingChallenge, BindingProof
from bore.wire.clienthello import MAX_LOOKS, MAX_START, protocolsOffered
from bore.wire.errors import FrameTooLong, MalformedMessage
from bore.wire.extension import Lane
from bore.wire.framing import FrameDecoder
from bore.wire.hints import hintOfPlain, hintOfTls
from bore.wire.httprequest import MAX_HEAD, RequestReader
from bore.wire.limits import MAX_EXTENDED_FRAME, MAX_FRAME
from bore.wire.more import More
from bore.wire.proxyheader import MAX_HEADER, Announcement, announcement
from bore.wire.proxyprotocol import Version, header
from bore.wire.workernumbers import MAX_WORKER
from fuzz.inputs import Outcome, errorOf, portions


def frames(data: bytes) -> None:
    """The decoder of frames."""
    if len(data) < 2:
        return
    longest = MAX_EXTENDED_FRAME if data[0] & 1 else MAX_FRAME
    outcomes: list[Outcome] = []
    for arriving in ([data[2:]], portions(data[2:], data[1])):
        decoder, outcome = FrameDecoder(longest), Outcome()
        try:
            for portion in arriving:
                decoder.feed(portion)
                while (frame := decoder.nextFrame()) is not None:
                    assert len(frame) <= longest and b"\0" not in frame
                    outcome.append(frame)
                assert len(decoder._buffer) <= longest, "more than a frame is kept"
            outcome.append(decoder.takeRest())
        except FrameTooLong as e:
            outcome.append(errorOf(e))
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1], outcomes


def decoders(data: bytes) -> None:
    """The decoders of all messages; what they read can be written, and is read again as the same."""
    for decode in (
        messages.decodeServerMessage,
        extension.decodeRequest,
        extension.decodeClientMessage,
        extension.decodeServerMessage,
        extension.decodeAnswer,
        binding.decodeServerMessage,
    ):
        try:
            message = decode(data)
        except MalformedMessage:
            continue
        with suppress(FrameTooLong):  # a text may need more bytes when it is written with other escapes
            assert decode(_encoded(message)) == message, message


def _encoded(message: object) -> bytes:
    match message:
        case (
            extension.Open()
            | extension.Opened()
            | extension.Close()
            | extension.Closed()
            | extension.Alive()
            | extension.Moved()
            | extension.NextKey()
            | extension.Nodes()
            | extension.Goodbye()
            | extension.Extended()
            | extension.Refused()
            | extension.Visitor()
            | extension.MarkedHello()
            | Lane()
        ):
            frame = extension.encode(message)
        case BindingChallenge() | BindingProof() | BindingAnswer():
            frame = binding.encode(message)
        case (
            messages.Challenge()
            | messages.Authenticate()
            | messages.Hello()
            | messages.Heartbeat()
            | messages.Connection()
            | messages.Accept()
            | messages.Error()
        ):
            frame = messages.encode(message)
        case _:
            raise AssertionError(message)
    return frame[:-1]


def proxyHeader(data: bytes) -> None:
    """The header that is written for a local service, with any addresses."""
    host, _, rest = data.decode("utf-8", "surrogateescape").partition("\n")
    there, _, _ = rest.partition("\n")
    for version in Version:
        try:
            written = header(version, (host, len(data)), (there, 65535))
        except ValueError:
            assert not (isLiteral(host) and isLiteral(there)), "an address is refused"
            continue
        assert written.startswith(proxyprotocol.SIGNATURES)
        assert len(written) <= 107, "section 2.1 of the specification: the longest line of version 1"
        if version is Version.V1:
            assert written.endswith(b"\r\n") and written.count(b" ") == 5, written


def proxyHeaderRead(data: bytes) -> None:
    """What a proxy sends in front of a connection: as it comes, and all at once."""
    at = 0
    with suppress(ValueError):
        while isinstance(found := announcement(data[:at]), More):
            assert 1 <= found.count <= MAX_HEADER - at, found
            if at + found.count > len(data):
                return
            at += found.count
        assert at == found.length and announcement(data) == found, "further bytes change it"
        if found.source is not None:
            again = announcement(header(Version.V2, found.source, ("::", 0)))
            assert isinstance(again, Announcement) and again.source == found.source, again


def httpRequests(data: bytes) -> None:
    """The first bytes of visitors whose local service cannot be reached."""
    if not data:
        return
    outcomes: list[Outcome] = []
    for arriving in ([data[1:]], portions(data[1:], data[0])):
        reader = RequestReader()
        for portion in arriving:
            reader.feed(portion)
            assert len(reader._line) <= MAX_HEAD, "more than a head is kept"
        outcomes.append([reader.start, reader.method, reader.acceptsHtml])
    assert outcomes[0] == outcomes[1], outcomes


def clientHellos(data: bytes) -> None:
    """The first message of a TLS connection: as it comes, and all at once."""
    at = looks = 0
    while isinstance(found := protocolsOffered(data[:at]), More):
        looks += 1
        assert 1 <= found.count <= MAX_START - at, found
        assert looks < MAX_LOOKS, "it is looked at too often"
        if at + found.count > len(data):
            return
        at += found.count
    assert protocolsOffered(data) == found, "further bytes change the decision"
    assert found is None or all(0 < len(name) < 256 or name == b"" for name in found)
    worker = hintOfTls(data)
    assert not isinstance(worker, More) and 0 <= worker <= MAX_WORKER


def plainHints(data: bytes) -> None:
    """The first message of a connection without TLS: one byte after the other."""
    for end in range(len(data) + 1):
        found = hintOfPlain(data[:end])
        if not isinstance(found, More):
            assert 0 <= found <= MAX_WORKER and hintOfPlain(data) == found, found
            return
        assert found.count == 1 and end <= MAX_FRAME, "more than a frame is waited for"


def addresses(data: bytes) -> None:
    """Hosts and ports as people write them."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ValueError):
        assert 0 <= parsePort(text, 0) <= 65535
    with suppress(ValueError):
        asciiName(text).encode("ascii")
    try:
        host, port = parseHostPort(text)
    except ValueError:
        return
    if port is not None:
        assert parseHostPort(hostPort(host, port)) == (host, port), text
    assert parseHostPort(host)[0] == host, text


def knownServers(data: bytes) -> None:
    """A line of the file of known servers."""
    try:
        server, key = knownservers._entry(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert knownservers._entry(f"{knownservers._written(server)} {key}") == (server, key)


def invitations(data: bytes) -> None:
    """The line by which a user joins a server."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = parseInvitation(text)
    except ValueError:
        return
    assert parseInvitation(found.line) == found, text
    assert f":{found.secret}@" not in f"{found} {found!r} {withoutSecrets(found.line)}", text


def localServices(data: bytes) -> None:
    """A local service with its public port, as people write it."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = localServiceOrTunnel(text)
    except ValueError:
        return
    target = found.target("localhost")
    again = localServiceOrTunnel(f"{target}:0")  # the path of a Unix socket may end like a public port
    assert (again.target("localhost"), again.public) == (target, 0), text


def settingsFiles(data: bytes) -> None:
    """The lines of keys in TOML files."""
    try:
        content = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return
    text = data.decode()
    keys = set(_paths(content))
    lines = withTables(linesOf(text))
    assert set(lines) <= keys, set(lines) - keys
    assert all(0 < line <= text.count("\n") + 1 for line in lines.values()), lines
    assert {path[0] for path in keys if path} == {path[0] for path in lines}, lines
    for path in keys:
        assert lineOf(path, lines) is not None, path


def _paths(value: object, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the paths of all keys; tables in a list have that of the list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*above, name)
            yield from _paths(inner, (*above, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, above)
