"""
What follows from what was observed: functions of values, which have all texts.

What servers and services have sent is shown as they have sent it; who prints it escapes it.
"""
# Longer than 300 lines: the texts of all checks are read together.

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bore import exits
from bore.client.advice import Tried, adviceOn
from bore.client.reasons import describe
from bore.doctor.findings import Check, Finding, State
from bore.streams.addresses import isLiteral
from bore.streams.encryption import NotTls
from bore.streams.resolver import LookupFailed
from bore.tls.errors import CertificateNotCurrent, ServerNotTrusted
from bore.wire.errors import AuthenticationFailed, PortInUse, Refusal
from bore.wire.publicaddress import PublicAddress
from bore.wire.sessionevents import SessionOpened

#: A look-up of a name that takes longer, in seconds, delays each start of the client.
_SLOW_LOOKUP: Final = 2.0

#: A certificate that is valid for less than this is about to expire.
_SOON: Final = datetime.timedelta(days=14)

#: The self-made certificates of servers have no end that matters.
_FOR_EVER: Final = 9000

#: More of what a service has sent is not shown, in characters.
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Way:
    """
    The way to an address.

    :ivar source: the address of this machine from which connections to it are made; empty: there is no route.
    :ivar interface: the network interface that has it; empty: it is not known.
    """

    address: str
    source: str
    interface: str


@dataclass(frozen=True, slots=True)
class Contact:
    """
    An attempt to connect to an address.

    :ivar seconds: how long it took.
    :ivar why: why there is no connection; None: there is one.
    """

    address: str
    seconds: float
    why: BaseException | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    The certificate of the server.

    :ivar begin: since when it is valid; ``end``: until when.
    """

    begin: datetime.datetime
    end: datetime.datetime


@dataclass(frozen=True, slots=True)
class Trusted:
    """
    The server was accepted inside TLS.

    :ivar key: the fingerprint of its key.
    :ivar why: why it is trusted.
    :ivar certificate: its certificate; None: it cannot be read.
    """

    key: str
    why: str
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Service:
    """
    How a local service answers.

    :ivar why: why it cannot be reached; None: it can.
    :ivar speaks: what it speaks, such as "HTTP, status 200"; empty: it waits for the visitor.
    """

    seconds: float
    why: BaseException | None = None
    speaks: str = ""


def skipped(check: Check, because: str) -> Finding:
    """A check that was not made."""
    return Finding(check, State.SKIP, because)


def onName(host: str, found: Sequence[str] | BaseException, seconds: float, tried: Tried) -> Finding:
    """
    Judge the look-up of the server's name.

    :param found: its addresses.
    """
    if isinstance(found, BaseException):
        advice = adviceOn(found, tried, wasUp=False)
        lasting = isinstance(found, LookupFailed) and not found.temporary
        others = ("if the name is right, its owner has to give it an A or AAAA record",) if lasting else ()
        return Finding(Check.NAME, State.FAIL, describe(found), (advice.text, *others), seconds, code=exits.UNAVAILABLE)
    if isLiteral(host):
        return Finding(Check.NAME, State.OK, f"{host} is an address, and needs no look-up")
    text = f"{host} is {_joined(found)}"
    if seconds > _SLOW_LOOKUP:
        slow = "each new connection to the server waits that long: check the name servers (/etc/resolv.conf)"
        return Finding(Check.NAME, State.WARN, f"{text}, after {seconds:.1f} s", (slow,), seconds)
    return Finding(Check.NAME, State.OK, text, seconds=seconds)


def onRoute(ways: Sequence[Way], proxies: Sequence[str]) -> Finding:
    """
    Judge the routes to the server's addresses.

    :param proxies: the variables that name a proxy.
    """
    usable = [way for way in ways if way.source]
    closed = [way.address for way in ways if not way.source]
    hint = (
        (f"{_joined(proxies)} names a proxy, which bore does not use: connections are made directly",)
        if proxies
        else ()
    )
    if not usable:
        advice = "connect this machine to a network, or check its routes (ip route)"
        return Finding(
            Check.ROUTE, State.FAIL, f"there is none to {_joined(closed)}", (advice, *hint), code=exits.UNAVAILABLE
        )
    text = ", ".join(f"{way.address} from {_source(way)}" for way in usable)
    if closed:
        text += f"; none to {_joined(closed)}, which is not used"
    return Finding(Check.ROUTE, State.OK, text, hint)


def _source(way: Way) -> str:
    return f"{way.source} ({way.interface})" if way.interface else way.source


def onPort(contacts: Sequence[Contact], tried: Tried, proxies: Sequence[str]) -> Finding:
    """Judge the attempts to connect to the control port."""
    port = tried.server.port
    good = [each for each in contacts if each.why is None]
    bad = [each for each in contacts if each.why is not None]
    if good:
        best = min(each.seconds for each in good)
        text = f"{port} of {_joined([each.address for each in good])} accepts connections ({_time(best)})"
        if not bad:
            return Finding(Check.PORT, State.OK, text, seconds=best)
        return Finding(
            Check.PORT,
            State.WARN,
            f"{text}; {'; '.join(_refused(each) for each in bad)}",
            ("the client uses the address that answers: correct the server's DNS records, or its firewall",),
            best,
        )
    advice = [adviceOn(bad[0].why, tried, wasUp=False).text]
    if proxies:
        advice.append(f"{_joined(proxies)} names a proxy: perhaps this network allows no connection without it")
    return Finding(
        Check.PORT,
        State.FAIL,
        f"{port}: {'; '.join(_refused(each) for each in bad)}",
        tuple(filter(None, advice)),
        max(each.seconds for each in bad),
        code=exits.UNAVAILABLE,
    )


def _refused(contact: Contact) -> str:
    return f"{contact.address}: {describe(contact.why)}"


def onTls(outcome: Trusted | BaseException | None, tried: Tried, answers: str, now: datetime.datetime) -> Finding:
    """
    Judge the server inside TLS.

    :param outcome: None: TLS is not used.
    :param answers: what answers without TLS, as :func:`whatAnswers` names it; empty: it is not known.
    """
    match outcome:
        case None:
            return Finding(Check.TLS, State.OK, "not used: what goes through the tunnel is not encrypted")
        case Trusted():
            return _onCertificate(outcome, now)
    advice = adviceOn(outcome, tried, wasUp=False)
    text = f"{describe(outcome)}{f'; {answers}' if answers else ''}"
    what = advice.text
    if isinstance(outcome, NotTls) and answers and answers != OURS:
        what = "check the port in --to: another program has this one"
    code = exits.NOT_TRUSTED if isinstance(outcome, ServerNotTrusted) else exits.UNAVAILABLE
    return Finding(Check.TLS, State.FAIL, text, (what,) if what else (), code=code)


def _onCertificate(trusted: Trusted, now: datetime.datetime) -> Finding:
    text = f"TLS 1.3, key {trusted.key}, {trusted.why}"
    certificate = trusted.certificate
    if certificate is None or certificate.end.year > _FOR_EVER:
        return Finding(Check.TLS, State.OK, text)
    text += f"; certificate until {certificate.end:%Y-%m-%d}"
    if now < certificate.end < now + _SOON:
        return Finding(Check.TLS, State.WARN, text, ("have it renewed, as clients refuse it afterwards",))
    return Finding(Check.TLS, State.OK, text)


def onClock(now: datetime.datetime, installed: datetime.datetime, trusted: Trusted | BaseException | None) -> Finding:
    """
    Judge the clock of this machine, of which no server tells the right time.

    :param installed: when this program was written to the disk, which is not in the future.
    :param trusted: what TLS has shown; None: nothing.
    """
    text = f"this machine reads {now:%Y-%m-%d %H:%M} UTC"
    advice = "compare it with another clock; 'timedatectl set-ntp true' has the system set it"
    if now < installed - datetime.timedelta(days=1):
        written = f"{installed:%Y-%m-%d}"
        return Finding(Check.CLOCK, State.FAIL, f"{text}, but txbore was installed here on {written}", (advice,))
    match trusted:
        case CertificateNotCurrent():
            return Finding(
                Check.CLOCK, State.FAIL, f"{text}, when the server's certificate is not valid",
                (advice, "if the clock is right, have the certificate renewed at the server"),
                code=exits.NOT_TRUSTED,
            )  # fmt: skip
        case Trusted(certificate=Certificate(begin, end)) if not begin <= now <= end:
            return Finding(
                Check.CLOCK, State.WARN, f"{text}, outside of the certificate's dates; the server is known by its key",
                (advice,),
            )  # fmt: skip
        case Trusted(certificate=Certificate(end=end)) if end.year <= _FOR_EVER:
            return Finding(Check.CLOCK, State.OK, f"{text}, within the dates of the server's certificate")
    return Finding(Check.CLOCK, State.OK, f"{text}; nothing shows that it is wrong")


#: What answers on a port that is meant to speak TLS.
OURS: Final = "'bore server' answers there without TLS"


def onProtocol(agreed: SessionOpened | BaseException | None, tried: Tried, seconds: float) -> Finding:
    """
    Judge what the server has agreed to.

    :param agreed: None: it speaks the base protocol. An error of authentication shows that it speaks ours.
    """
    match agreed:
        case SessionOpened():
            return Finding(Check.PROTOCOL, State.OK, f"txbore's extension ({_time(seconds)})", seconds=seconds)
        case None:
            return Finding(
                Check.PROTOCOL,
                State.OK,
                "the base protocol, as an original server has it: one tunnel in a session, which is not resumed",
                seconds=seconds,
            )
        case Refusal() if not isinstance(agreed, AuthenticationFailed):
            text, what = describe(agreed), adviceOn(agreed, tried, wasUp=False).text
            return Finding(Check.PROTOCOL, State.FAIL, text, (what,) if what else (), seconds)
        case AuthenticationFailed():
            return Finding(Check.PROTOCOL, State.OK, "it answers as 'bore server' does", seconds=seconds)
    what = adviceOn(agreed, tried, wasUp=False).text
    return Finding(
        Check.PROTOCOL, State.FAIL, describe(agreed), (what,) if what else (), seconds, code=exits.UNAVAILABLE
    )


def onSecret(agreed: SessionOpened | BaseException | None, secret: bool, encrypted: bool, user: str) -> Finding:
    """
    Judge the proof of the secret.

    :param secret: whether the client has one.
    :param user: the user whose secret it is; empty: it is a shared one.
    """
    if isinstance(agreed, BaseException):
        advice = "'bore secret --write' makes one, for the server and all clients"
        if user:
            advice = f"ask the operator for a new line ('bore user rotate {user}'), and join with it"
        elif secret:
            advice = f"compare both files: {advice}"
        return Finding(Check.SECRET, State.FAIL, describe(agreed), (advice,), code=exits.NO_PERMISSION)
    if agreed is not None and agreed.user:
        return Finding(Check.SECRET, State.OK, f"{agreed.user} may use: {agreed.rights or 'any port of the server'}")
    if not secret:
        return Finding(
            Check.SECRET, State.OK, "the server requires none: anyone may have tunnels there, unless it requires "
            "certificates",
        )  # fmt: skip
    proven = "; it has proved that it knows it, too" if encrypted else ""
    return Finding(Check.SECRET, State.OK, f"the server accepts it{proven}")


def onRange(asked: PublicAddress, opened: PublicAddress | BaseException, tried: Tried) -> Finding:
    """
    Judge the answer to the request for a public address.

    :param opened: the public address that was opened.
    """
    if isinstance(opened, PortInUse):
        return Finding(
            Check.RANGE, State.WARN, f"{_address(asked)} is in use now",
            ("by a client of yours that runs, perhaps; if not, give another --port",),
        )  # fmt: skip
    if isinstance(opened, BaseException):
        what = adviceOn(opened, tried, wasUp=False).text
        return Finding(Check.RANGE, State.FAIL, describe(opened), (what,) if what else ())
    if asked:
        return Finding(Check.RANGE, State.OK, f"{_address(asked)} may be used, and is free")
    return Finding(Check.RANGE, State.OK, f"any port is wanted; the server chose {opened}")


def _address(address: PublicAddress) -> str:
    return f"port {address}" if isinstance(address, int) else str(address)


def onService(target: str, service: Service) -> Finding:
    """Judge a local service."""
    if service.why is not None:
        return Finding(
            Check.LOCAL, State.FAIL, f"{target}: {describe(service.why)}",
            ("start it, or name the right one: until then visitors are closed",), service.seconds,
        )  # fmt: skip
    speaks = service.speaks[:_SHOWN] or "it waits for the visitor to speak"
    return Finding(
        Check.LOCAL, State.OK, f"{target} answers: {speaks} ({_time(service.seconds)})", seconds=service.seconds
    )


def onVisit(public: str, why: BaseException | None, wasThere: bool, seconds: float) -> Finding:
    """
    Judge a visit through the tunnel from this machine.

    :param public: the public address.
    :param why: why the bytes did not come back; None: they did.
    :param wasThere: whether the visitor came to the client.
    """
    if why is None:
        text = f"a visit of {public} from here came back through the tunnel ({_time(seconds)})"
        return Finding(Check.END_TO_END, State.OK, text, seconds=seconds)
    if wasThere:
        return Finding(
            Check.END_TO_END, State.FAIL, f"a visitor of {public} came here, and got nothing back: {describe(why)}",
            ("something between this machine and the server cuts connections, or delays them for very long",), seconds,
        )  # fmt: skip
    return Finding(
        Check.END_TO_END,
        State.FAIL,
        f"the tunnel is open, and a visit of {public} from this machine did not come through: {describe(why)}",
        (
            "if there is a firewall in front of the server, have it allow the public ports, not only the control port",
            "if the server is in this network, its router may not lead its own outer address back (hairpin NAT): then "
            "only visits from here fail; try from another network",
            "if --allow or --deny limits who may visit, this machine may be among the others",
        ),
        seconds,
    )


def onUnixEntrance(public: PublicAddress) -> Finding:
    """A tunnel whose public address this machine cannot visit."""
    text = f"{public} was opened; only programs at the server can visit it, so nothing was sent through it"
    return Finding(Check.END_TO_END, State.OK, text)


def whatAnswers(start: bytes, kind: str) -> str:
    """
    Name what answers without TLS.

    :param start: its first bytes.
    :param kind: what they show, such as "an HTTP server"; empty: nothing.
    """
    if kind:
        return f"{kind} answers there"
    return OURS if start.startswith((b'{"', b'"')) else ""


def _joined(words: Sequence[str]) -> str:
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
