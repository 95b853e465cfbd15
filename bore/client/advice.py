"""
What would be right where a client has no tunnel yet: a function of the failure, and of what was tried.

After the first success there is no advice: it has worked, so the failure is of another kind than a mistake.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final, NamedTuple

from twisted.internet import error
from twisted.internet.defer import TimeoutError as DeferredTimeout

from bore.client.reasons import ExtensionNeeded, RequestUnanswered, ServerNotReading, ServerSilent
from bore.client.settings import ServerAddress
from bore.streams.encryption import NotTls, OtherTls, TlsError
from bore.streams.racing import DIAL_TIMEOUT
from bore.streams.resolver import LookupFailed
from bore.tls.errors import CertificateNotCurrent, ServerKeyChanged, ServerNotTrusted
from bore.wire.errors import (
    AuthenticationFailed,
    LateChallenge,
    NeedsTls,
    NoFreePort,
    OtherProtocol,
    PortForbidden,
    PortInUse,
    PortNotAllowed,
    ProtocolViolation,
    Refusal,
    RightsExpired,
    SourceNotAllowed,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    TooManyTunnelsOfUser,
)
from bore.wire.limits import CONTROL_PORT
from bore.wire.publicaddress import PublicAddress


@dataclass(frozen=True, slots=True)
class Tried:
    """
    What was tried.

    :ivar server: the server.
    :ivar encrypted: whether with TLS.
    :ivar public: the public address that was asked for; 0: any port.
    """

    server: ServerAddress
    encrypted: bool
    public: PublicAddress


class Advice(NamedTuple):
    """
    What the user can do about a failure.

    :ivar text: what would be right; empty: the text of the failure has it, or nothing is known.
    :ivar mends: whether waiting may mend it.
    """

    text: str = ""
    mends: bool = True


#: After the first success, and where nothing is known.
NO_ADVICE: Final = Advice()

#: Errors of the system that a network which is down causes.
_NO_NETWORK: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)

#: What may help where the system could not look a name up.
_NAME_SERVERS: Final = "check the network of this machine, and its name servers (/etc/resolv.conf)"

_LIMITS: Final[dict[type[Refusal], str]] = {
    PortInUse: "another client or program has it: give another --port, or omit it",
    NoFreePort: "all ports that the server has tried are in use: its --min-port and --max-port may be too narrow",
    TooManyTunnels: "the server has as many tunnels as its --max-tunnels allows",
    TooManyTunnelsFromSource: "stop another client of yours, or have --max-tunnels-per-source raised at the server",
    TooManyTunnelsOfUser: "stop another client of this user, or have its max-tunnels raised at the server",
    RightsExpired: "ask the operator of the server to extend them",
    SourceNotAllowed: "ask the operator of the server to add it to 'from' of this user",
    PortForbidden: "the server may not listen there: give a --port from 1024 on, or omit it",
}


def adviceOn(why: BaseException | None, tried: Tried, wasUp: bool) -> Advice:
    """
    Return what the user can do about a failure.

    :param wasUp: whether there was a tunnel before.
    """
    if wasUp:
        return NO_ADVICE
    match why:
        case TlsError():
            return _onTls(why, tried)
        case ServerNotTrusted():
            return _onTrust(why)
        case Refusal():
            return Advice(_onRefusal(why, tried), why.retry)
        case LateChallenge():
            return NO_ADVICE
        case ProtocolViolation():
            other = isinstance(why, OtherProtocol)
            return Advice(_port(tried) if other else f"another program may answer there: {_port(tried)}", mends=False)
        case ExtensionNeeded():
            return Advice(mends=False)
        case LookupFailed():
            return Advice(_NAME_SERVERS if why.temporary else "check the name in --to", why.temporary)
    return Advice(_onConnection(why, tried))


def _onConnection(why: BaseException | None, tried: Tried) -> str:
    """What may help against a failure of the network, or of the server's machine."""
    number = why.osError if isinstance(why, error.ConnectError) else getattr(why, "errno", None)
    match why:
        case RequestUnanswered():
            return ""
        case ServerSilent() | ServerNotReading():
            return f"the server may be overloaded, or another program may listen there: {_port(tried)}"
        case error.ConnectionRefusedError() | ConnectionRefusedError():
            return f"no program listens there: start 'bore server', or {_port(tried)}"
        case error.TimeoutError() | TimeoutError() | DeferredTimeout():
            return (
                f"no answer within {DIAL_TIMEOUT:.0f} s: the address is wrong, or a firewall blocks port "
                f"{tried.server.port}"
            )
        case error.ConnectionClosed() | ConnectionResetError() | BrokenPipeError():
            return f"a proxy whose server is down may be there, or another program: {_port(tried)}"
        case error.NoRouteError():
            return "check the network of this machine"
    return "check the network of this machine" if number in _NO_NETWORK else ""


def _onTls(why: TlsError, tried: Tried) -> Advice:
    """What may help where no TLS connection was made."""
    match why:
        case NotTls():
            return Advice(
                f"start the server with --tls, or try --to {tried.server} without tls://, which encrypts nothing"
                + ("" if tried.server.port == CONTROL_PORT else f"; {_port(tried)}"),
                mends=False,
            )
        case OtherTls():
            return Advice(f"another program answers there: {_port(tried)}", mends=False)
        case TlsError(errno=errno.ETIMEDOUT):
            return Advice(f"it accepts connections, so another program may listen there: {_port(tried)}")
    return Advice(mends=False)


def _onTrust(why: ServerNotTrusted) -> Advice:
    """What may help where the server is not the expected one."""
    match why:
        case CertificateNotCurrent():
            return NO_ADVICE  # it has it
        case ServerKeyChanged():
            return Advice(mends=False)
    return Advice(
        "if it is the right server, give --tls-fingerprint as it prints it at startup, or --tls-ca with its authority",
        mends=False,
    )


def _onRefusal(why: Refusal, tried: Tried) -> str:
    """What may help against a refusal."""
    match why:
        case AuthenticationFailed():
            return ""  # it ends the client, and the text has it
        case NeedsTls():
            return f"give --to tls://{tried.server}"
        case PortNotAllowed() if str(why) != PortNotAllowed.text and why.range is None:
            return "give another --port, or omit it"  # the text has the ports of this user, or that another has it
        case PortNotAllowed() if why.range is None and tried.public:
            return (
                f"port {tried.public} is outside this server's range, which it does not send: omit --port, and it "
                "chooses one"
            )
    return "" if "--" in str(why) else _LIMITS.get(type(why), "")  # the server names its option itself


def _port(tried: Tried) -> str:
    """What to check about the control port."""
    if tried.server.port == CONTROL_PORT:
        return f"check the port, as the server may have another one than {CONTROL_PORT}"
    return f"check the port, which is {CONTROL_PORT} unless the server has another one"
