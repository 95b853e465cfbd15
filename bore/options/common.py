"""What both ends can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bore.commandline import Option, UsageError
from bore.options import values
from bore.options.secrets import readSecret
from bore.relay.interface import HALF_OPEN_TIMEOUT
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from bore.tls.certificates import Credentials


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    level: str
    format: str


#: The log of either end.
LOG: Final = (
    Option(
        ("--log-level",),
        "What to log: debug, info, warn or error",
        values.oneOf("debug", "info", "warn", "error"),
        "LEVEL",
        "info",
    ),
    Option(("--log-format",), "How to log: text or json", values.oneOf("text", "json"), "FORMAT", "text"),
)

#: All that both ends have in common.
BOTH: Final = (
    Option(
        ("-s", "--secret"),
        "Secret that both ends must know; every user of this machine can read it in the list of processes",
        str,
        "SECRET",
        environment="BORE_SECRET",
    ),
    Option(
        ("--secret-file",),
        "File that holds the secret, and that no other user may read; a newline at its end is not part of it",
        readSecret,
        "PATH",
    ),
    Option(
        ("--max-visitors",),
        "Visitors that one tunnel may have at the same time; 0 is any number",
        values.count,
        "NUMBER",
        10_000,
    ),
    Option(
        ("--half-open-timeout",),
        "How long a visitor may be silent when the other direction has ended, in seconds",
        values.seconds,
        "SECONDS",
        HALF_OPEN_TIMEOUT,
        shown="600",
    ),
    *LOG,
)


def controlPort(help: str, parse: Any) -> Option:
    """The control port, which each end has its own words for."""
    return Option(("--control-port",), help, parse, "PORT", CONTROL_PORT, environment="BORE_CONTROL_PORT")


def secret(found: dict[str, Any], given: dict[str, Any]) -> Secret | None:
    """The secret, wherever it comes from."""
    if "secret" in given and "secret_file" in given:
        raise UsageError("--secret and --secret-file: give one of them")
    text = found["secret_file"] if "secret_file" in given else found["secret"]
    if text is None:
        return None
    if not text and "secret" not in given:
        raise UsageError(
            "environment variable BORE_SECRET is empty: give it a secret, or unset it to do without one "
            "(--secret '' is an empty secret)"
        )
    try:
        return Secret(text)
    except UnicodeEncodeError:
        raise UsageError("the secret is not UTF-8: give a text") from None


def refuseWithoutTls(given: dict[str, Any], names: tuple[str, ...], instead: str) -> None:
    """Nobody should believe that options for TLS have an effect where there is none."""
    for name in names:
        if name in given:
            raise UsageError(f"--{name.replace('_', '-')} is of no use without TLS: give --tls, or {instead}")


def checkPair(certificate: Path | None, key: Path | None) -> Credentials | None:
    """The certificate and the key in these files, if there are any."""
    if (certificate is None) != (key is None):
        raise UsageError("--tls-cert and --tls-key belong together: give both, or none")
    if certificate is None or key is None:
        return None
    from bore.tls.certificates import BadCredentials, readCredentials
    from bore.tls.contexts import repeatedContext

    try:
        credentials = readCredentials(certificate, key)
        repeatedContext(credentials)  # OpenSSL has its own idea of what is good enough
        return credentials
    except BadCredentials as e:
        raise UsageError(str(e)) from None


def certificates(option: str, path: Path) -> tuple[Certificate, ...]:
    """The certificates of authorities in a file."""
    from bore.tls.certificates import BadCredentials, readAuthorities

    try:
        return readAuthorities(path)
    except BadCredentials as e:
        raise UsageError(f"{option}: {e}") from None


def log(found: dict[str, Any]) -> LogSettings:
    """How to log."""
    return LogSettings(found["log_level"], found["log_format"])
