"""The options of a client that name servers, and how they are trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bore.client.settings import ClientSettings, ServerAddress
from bore.commandline import UsageError, Values
from bore.option import INVITATION, Option, option, repeated, switch
from bore.options import common, values
from bore.streams.addresses import parseHostPort
from bore.system.statefolder import stateFolder
from bore.tls.settings import ClientTls
from bore.wire.secret import Secret

if TYPE_CHECKING:
    from bore.options.invitation import Invitation

#: The prefix of a server that is connected to with TLS.
_TLS_PREFIX: Final = "tls://"


class ServerWord(NamedTuple):
    """
    A server as the user names it.

    :ivar encrypted: whether TLS is used in any case.
    :ivar host: its name or IP address.
    :ivar port: its port; None: it is not given.
    :ivar user: the user to be there; empty: none is given.
    :ivar invitation: the line of the invitation; None: it is not such a line.
    """

    encrypted: bool
    host: str
    port: int | None
    user: str = ""
    invitation: Invitation | None = None


class Membership(NamedTuple):
    """
    Who the user is at which server.

    :ivar secret: the secret of the invitation; None: there is none.
    :ivar pins: what the server is known by; none: it was not joined.
    """

    server: ServerAddress
    user: str
    secret: Secret | None
    pins: tuple[str, ...]


def parseServer(text: str) -> ServerWord:
    """Parse a server."""
    if text.lower().startswith(INVITATION):
        from bore.options.invitation import parseInvitation

        found = parseInvitation(text)
        return ServerWord(True, found.host, found.port, found.user, found)
    rest = text.removeprefix(_TLS_PREFIX)
    if "://" in rest:
        raise ValueError("must be a server, such as example.com or tls://example.com:7835")
    user, at, server = rest.rpartition("@")
    if at:
        from bore.options.invitation import parseName

        parseName(user)
    return ServerWord(rest != text or bool(at), *parseHostPort(server), user)


TO: Final = repeated(
    "-t --to",
    "Server: HOST, HOST:PORT, or with TLS tls://HOST or tls://HOST:PORT; NAME@HOST if it was joined with 'bore join', "
    "or the line for that. If repeated, the client moves to the next server when it loses one",
    parseServer,
    "HOST",
    environment="BORE_SERVER",
    shown="the server that was joined last",
    keyed="server",
)
NODES: Final = option(
    "--nodes",
    "Have the tunnels at NUMBER nodes of the server's cluster at a time, 1 to 4, if it has one",
    values.nodes,
    "NUMBER",
    ClientSettings(servers=()).nodes,
    environment="BORE_NODES",
)
CONTROL_PORT: Final = common.controlPort("Control port of the server", values.port)
_TLS: Final = switch("--tls", "Use TLS with every server, as if all had tls://")
_TLS_CA: Final = option(
    "--tls-ca",
    "File with the certificates (PEM) of the only authorities to trust",
    values.path,
    "PATH",
    None,
    isFile=True,
    shown="the system's authorities, or the server's known key",
)
_FINGERPRINT: Final = option(
    "--tls-fingerprint",
    "Fingerprint of the server's key, as the server prints it at startup",
    values.fingerprint,
    "SHA256:...",
    None,
)
_CERTIFICATE: Final = option(
    "--tls-cert",
    "File with the client's certificate (PEM), for servers that require one",
    values.path,
    "PATH",
    None,
    isFile=True,
)
KEY: Final = option(
    "--tls-key", "File with the private key (PEM) for --tls-cert", values.path, "PATH", None, isFile=True
)

#: The options for TLS.
OF_TLS: Final[tuple[Option[object], ...]] = (_TLS, _TLS_CA, _FINGERPRINT, _CERTIFICATE, KEY)


def membership(found: Values) -> Membership | None:
    """
    Return who the user is at the server; None if the servers are named without a user.

    :raises UsageError: if no server is named, and none was joined, or not the one that is named.
    """
    words = found[TO]
    if words and not any(word.user for word in words):
        return None
    if len(words) > 1:
        raise UsageError(f"{found.name(TO)} names several servers, and one of them with a user: name that one alone")
    given = words[0].invitation if words else None
    from bore.options.joined import joinedServers

    joined = joinedServers(found.environment) if given is None else None
    if not words:
        known = () if joined is None else joined.read()
        if not known:
            raise UsageError(_noServer(found))
        given = known[-1]
    elif given is None:
        word = words[0]
        given = None if joined is None else joined.find(word.user, word.host, word.port)
        if given is None:
            if common.secret(found) is None:
                unknown = "no server was joined" if joined is None else joined.unknown(f"{word.user}@{word.host}")
                raise UsageError(f"{found.name(TO)}: {unknown}")
            return Membership(_address(found, word.host, word.port), word.user, None, ())
    return Membership(_address(found, given.host, given.port), given.user, Secret(given.secret), given.pins)


def hasSecret(found: Values) -> bool:
    """Return whether a server is named by the line of an invitation."""
    return any(word.invitation for word in found[TO])


def _noServer(found: Values) -> str:
    example = 'server = "tls://example.com"' if found.hasFile else "'--to example.com'"
    hint = f"name the server, as in {example}, or join one with 'bore join'"
    return f"no {found.name(TO)} given, and no server was joined: {hint}"


def tls(found: Values, pins: tuple[str, ...] | None) -> ClientTls | None:
    """
    Return the settings for TLS, or None if it is not used.

    :param pins: what the server is known by, if it is named with a user; None: it is not.
    """
    wanted = [word.encrypted for word in found[TO]]
    if pins is None and not found[_TLS] and not any(wanted):
        common.refuseWithoutTls(found, (_TLS_CA, _FINGERPRINT, _CERTIFICATE, KEY), _TLS, f"{found.name(TO)} tls://HOST")
        return None
    if pins is None and not found[_TLS] and not all(wanted):
        raise UsageError(f"{found.name(TO)} names servers with and without tls://: add it to all of them")
    authorities = found[_TLS_CA]
    if authorities is not None and found[_FINGERPRINT] is not None:
        raise UsageError(f"{found.name(_TLS_CA)} and {found.name(_FINGERPRINT)} exclude each other")
    folder = stateFolder(found.environment)
    return ClientTls(
        None if authorities is None else common.certificates(found, _TLS_CA, authorities),
        found[_FINGERPRINT],
        common.checkPair(found, _CERTIFICATE, KEY),
        None if folder is None else folder / "known_servers",
        pins if pins and authorities is None and found[_FINGERPRINT] is None else (),
    )


def servers(found: Values) -> tuple[ServerAddress, ...]:
    """Return the servers."""
    addresses = [_address(found, word.host, word.port) for word in found[TO]]
    if len(set(addresses)) < len(addresses):
        raise UsageError(f"{found.name(TO)} names the same server twice")
    return tuple(addresses)


def _address(found: Values, host: str, port: int | None) -> ServerAddress:
    """Return where a server is. A port named with --to takes precedence over BORE_CONTROL_PORT."""
    control = found[CONTROL_PORT]
    explicit = found.given(CONTROL_PORT)
    if port not in (None, control) and explicit and found.given(TO):
        raise UsageError(
            f"{found.name(TO)} names port {port}, and {found.name(CONTROL_PORT)} {control}: give only one of them"
        )
    return ServerAddress(host, control if port is None or explicit else port)
