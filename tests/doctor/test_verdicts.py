"""What the doctor concludes from what was observed: a table of observations and their lines."""

from __future__ import annotations

import datetime
import errno
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore import exits
from bore.client.advice import Tried
from bore.client.settings import ServerAddress
from bore.doctor import verdicts
from bore.doctor.endtoend import NothingCameBack
from bore.doctor.findings import Finding, State, lines
from bore.doctor.verdicts import OURS, Certificate, Contact, Service, Trusted, Way
from bore.streams.encryption import NotTls, OtherTls
from bore.streams.resolver import LookupFailed
from bore.tls.errors import CertificateNotCurrent, ServerKeyChanged
from bore.wire.errors import (
    ClientHasNoSecret,
    InvalidSecret,
    NeedsTls,
    OtherProtocol,
    PortInUse,
    PortNotAllowed,
    TooManyTunnels,
)
from bore.wire.publicaddress import UnixPath
from bore.wire.sessionevents import SessionOpened

HOST: Final = "tunnel.example.com"
TRIED: Final = Tried(ServerAddress(HOST), encrypted=True, public=80)
NOW: Final = datetime.datetime(2026, 6, 1, 12, 0, tzinfo=datetime.UTC)
YEAR: Final = datetime.timedelta(days=365)
REFUSED: Final = OSError(errno.ECONNREFUSED, "refused")

VALID: Final = Trusted("SHA256:k", "known", Certificate(NOW - YEAR, NOW + YEAR))
ENDING: Final = Trusted("SHA256:k", "signed by a trusted authority", Certificate(NOW - YEAR, NOW + YEAR / 100))
OWN: Final = Trusted("SHA256:k", "known", Certificate(NOW - YEAR, datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC)))
OVER: Final = Trusted("SHA256:k", "known", Certificate(NOW - YEAR, NOW - YEAR / 2))
EXPIRED: Final = CertificateNotCurrent("the server's certificate, or one above it, has expired: renew it")

_ROUTED: Final = Way("192.0.2.1", "10.0.0.2", "eth0")
_CONNECTED: Final = Contact("192.0.2.1", 0.012, None)
_NO_PORT: Final = Contact("2001:db8::1", 0.001, REFUSED)

#: A finding, its state, the exit code, what its first line contains, and what its advice contains.
TABLE: Final[tuple[tuple[Finding, str, int, str, str], ...]] = (
    (verdicts.onName("192.0.2.1", ["192.0.2.1"], 0, TRIED), "ok", 1, "192.0.2.1 is an address", ""),
    (verdicts.onName(HOST, ["192.0.2.1"], 0.01, TRIED), "ok", 1, "name: tunnel.example.com is 192.0.2.1", ""),
    (
        verdicts.onName(HOST, ["192.0.2.1", "192.0.2.2", "2001:db8::1"], 0.01, TRIED),
        "ok",
        1,
        "is 192.0.2.1, 192.0.2.2 and 2001:db8::1",
        "",
    ),
    (verdicts.onName(HOST, ["192.0.2.1"], 3.2, TRIED), "warn", 1, "after 3.2 s", "/etc/resolv.conf"),
    (
        verdicts.onName(HOST, LookupFailed("the name x does not exist", temporary=False), 0.1, TRIED),
        "FAIL",
        exits.UNAVAILABLE,
        "the name x does not exist",
        "check the name in --to",
    ),
    (
        verdicts.onName(HOST, LookupFailed("it cannot be looked up"), 10, TRIED),
        "FAIL",
        exits.UNAVAILABLE,
        "cannot be looked up",
        "its name servers",
    ),
    (verdicts.onRoute([_ROUTED], []), "ok", 1, "route: 192.0.2.1 from 10.0.0.2 (eth0)", ""),
    (verdicts.onRoute([_ROUTED], ["https_proxy"]), "ok", 1, "192.0.2.1 from 10.0.0.2", "https_proxy names a proxy"),
    (
        verdicts.onRoute([_ROUTED, Way("2001:db8::1", "", "")], []),
        "ok",
        1,
        "; none to 2001:db8::1, which is not used",
        "",
    ),
    (
        verdicts.onRoute([Way("192.0.2.1", "", "")], []),
        "FAIL",
        exits.UNAVAILABLE,
        "there is none to 192.0.2.1",
        "connect this machine to a network",
    ),
    (verdicts.onPort([_CONNECTED], TRIED, []), "ok", 1, "7835 of 192.0.2.1 accepts connections (12 ms)", ""),
    (verdicts.onPort([_CONNECTED, _NO_PORT], TRIED, []), "warn", 1, "2001:db8::1: connection refused", "DNS records"),
    (
        verdicts.onPort([_NO_PORT], TRIED, []),
        "FAIL",
        exits.UNAVAILABLE,
        "connection refused",
        "no program listens there: start 'bore server'",
    ),
    (
        verdicts.onPort([Contact("192.0.2.1", 10.0, TimeoutError())], TRIED, ["all_proxy"]),
        "FAIL",
        exits.UNAVAILABLE,
        "it does not answer",
        "a firewall blocks port 7835|all_proxy names a proxy",
    ),
    (verdicts.onTls(None, TRIED, "", NOW), "ok", 1, "not encrypted", ""),
    (verdicts.onTls(VALID, TRIED, "", NOW), "ok", 1, "key SHA256:k, known; certificate until 2027-06-01", ""),
    (verdicts.onTls(OWN, TRIED, "", NOW), "ok", 1, "TLS 1.3, key SHA256:k, known", ""),
    (verdicts.onTls(ENDING, TRIED, "", NOW), "warn", 1, "certificate until 2026-06-05", "have it renewed"),
    (
        verdicts.onTls(NotTls(errno.EPROTO, "it does not speak TLS"), TRIED, OURS, NOW),
        "FAIL",
        exits.UNAVAILABLE,
        "it does not speak TLS; 'bore server' answers there without TLS",
        f"try --to {HOST}:7835 without tls://",
    ),
    (
        verdicts.onTls(NotTls(errno.EPROTO, "it does not speak TLS"), TRIED, "an SSH server answers there", NOW),
        "FAIL",
        exits.UNAVAILABLE,
        "an SSH server answers there",
        "check the port in --to",
    ),
    (
        verdicts.onTls(OtherTls(errno.EPROTO, "it does not accept bore/1"), TRIED, "", NOW),
        "FAIL",
        exits.UNAVAILABLE,
        "it does not accept bore/1",
        "another program answers there",
    ),
    (
        verdicts.onTls(ServerKeyChanged("the key has changed"), TRIED, "", NOW),
        "FAIL",
        exits.NOT_TRUSTED,
        "the key has changed",
        "",
    ),
    (verdicts.onClock(NOW, NOW - YEAR, None), "ok", 1, "2026-06-01 12:00 UTC; nothing shows that it is wrong", ""),
    (verdicts.onClock(NOW, NOW - YEAR, VALID), "ok", 1, "within the dates of the server's certificate", ""),
    (verdicts.onClock(NOW, NOW - YEAR, OWN), "ok", 1, "nothing shows that it is wrong", ""),
    (verdicts.onClock(NOW, NOW - YEAR, OVER), "warn", 1, "the server is known by its key", "timedatectl"),
    (
        verdicts.onClock(NOW, NOW - YEAR, EXPIRED),
        "FAIL",
        exits.NOT_TRUSTED,
        "when the server's certificate is not valid",
        "timedatectl|have the certificate renewed",
    ),
    (
        verdicts.onClock(NOW - 2 * YEAR, NOW, VALID),
        "FAIL",
        1,
        "but txbore was installed here on 2026-06-01",
        "timedatectl",
    ),
    (verdicts.onProtocol(SessionOpened(), TRIED, 0.02), "ok", 1, "txbore's extension (20 ms)", ""),
    (verdicts.onProtocol(None, TRIED, 0.02), "ok", 1, "the base protocol, as an original server has it", ""),
    (verdicts.onProtocol(InvalidSecret(), TRIED, 0.02), "ok", 1, "it answers as 'bore server' does", ""),
    (verdicts.onProtocol(NeedsTls(), TRIED, 0.02), "FAIL", 1, "this port speaks TLS", f"give --to tls://{HOST}:7835"),
    (verdicts.onProtocol(TooManyTunnels(), TRIED, 0.02), "FAIL", 1, "too many tunnels", "--max-tunnels"),
    (
        verdicts.onProtocol(OtherProtocol("an HTTP server"), TRIED, 0.02),
        "FAIL",
        exits.UNAVAILABLE,
        "an HTTP server answers there, and not 'bore server'",
        "check the port",
    ),
    (
        verdicts.onSecret(SessionOpened(), True, True, ""),
        "ok",
        1,
        "accepts it; it has proved that it knows it, too",
        "",
    ),
    (verdicts.onSecret(None, True, False, ""), "ok", 1, "secret: the server accepts it", ""),
    (verdicts.onSecret(SessionOpened(), False, False, ""), "ok", 1, "requires none: anyone may have tunnels", ""),
    (
        verdicts.onSecret(SessionOpened(user="alice", rights="ports 20000-20009"), True, True, "alice"),
        "ok",
        1,
        "alice may use: ports 20000-20009",
        "",
    ),
    (
        verdicts.onSecret(InvalidSecret(), True, True, "alice"),
        "FAIL",
        exits.NO_PERMISSION,
        "invalid secret",
        "'bore user rotate alice'",
    ),
    (
        verdicts.onSecret(ClientHasNoSecret(), False, False, ""),
        "FAIL",
        exits.NO_PERMISSION,
        "give the client the server's secret",
        "'bore secret --write' makes one, for the server and all clients",
    ),
    (
        verdicts.onSecret(InvalidSecret(), True, False, ""),
        "FAIL",
        exits.NO_PERMISSION,
        "invalid secret: give the client the server's secret",
        "compare both files: 'bore secret --write' makes one, for the server and all clients",
    ),
    (verdicts.onRange(20000, 20000, TRIED), "ok", 1, "port 20000 may be used, and is free", ""),
    (verdicts.onRange(0, 31244, TRIED), "ok", 1, "any port is wanted; the server chose 31244", ""),
    (
        verdicts.onRange(80, PortNotAllowed.outside(80, 20000, 20999), TRIED),
        "FAIL",
        1,
        "port 80 is outside this server's range, 20000 to 20999",
        "",
    ),
    (
        verdicts.onRange(80, PortNotAllowed(), TRIED),
        "FAIL",
        1,
        "not in allowed range",
        "port 80 is outside this server's range",
    ),
    (verdicts.onRange(20000, PortInUse.on(20000), TRIED), "warn", 1, "port 20000 is in use now", "a client of yours"),
    (
        verdicts.onService("localhost:80", Service(0.001, REFUSED)),
        "FAIL",
        1,
        "localhost:80: connection refused",
        "start it",
    ),
    (
        verdicts.onService("localhost:80", Service(0.001, speaks="HTTP, status 200")),
        "ok",
        1,
        "local service: localhost:80 answers: HTTP, status 200 (1 ms)",
        "",
    ),
    (verdicts.onService("localhost:80", Service(0.001)), "ok", 1, "it waits for the visitor to speak", ""),
    (verdicts.onVisit(f"{HOST}:20000", None, True, 0.04), "ok", 1, "came back through the tunnel (40 ms)", ""),
    (
        verdicts.onVisit(f"{HOST}:20000", REFUSED, False, 0.04),
        "FAIL",
        1,
        "from this machine did not come through: connection refused",
        "hairpin NAT|a firewall in front of the server",
    ),
    (
        verdicts.onVisit(f"{HOST}:20000", NothingCameBack("nothing came back"), True, 10.0),
        "FAIL",
        1,
        "came here, and got nothing back: nothing came back",
        "cuts connections",
    ),
    (verdicts.onUnixEntrance(UnixPath("/run/b/web.sock")), "ok", 1, "unix:/run/b/web.sock was opened", ""),
)


class VerdictTests(SynchronousTestCase):
    """The table."""

    def test_eachObservationHasItsLineAndItsAdvice(self) -> None:
        for finding, state, code, text, advice in TABLE:
            with self.subTest(text=finding.text):
                self.assertEqual((finding.state.value, finding.code), (state, code))
                self.assertIn(text, lines(finding)[0])
                for each in advice.split("|"):
                    self.assertIn(each, "\n".join(finding.advice))
                self.assertEqual(bool(finding.advice), bool(advice))

    def test_whatAnswersWithoutTlsIsNamed(self) -> None:
        for start, kind, named in (
            (b"SSH-2.0-x", "an SSH server", "an SSH server answers there"),
            (b'{"Challenge":"x"}\0', "", OURS),
            (b'"Heartbeat"\0', "", OURS),
            (b"", "", ""),
            (b"\x00\x01", "", ""),
        ):
            self.assertEqual(verdicts.whatAnswers(start, kind), named)

    def test_everyFailureSaysWhatToDoUnlessItsTextDoes(self) -> None:
        silent = {lines(finding)[0] for finding, *_ in TABLE if finding.state is State.FAIL and not finding.advice}
        self.assertEqual(len(silent), 2, silent)
