"""Options that the server and the client have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bore.commandline import UsageError, Values
from bore.logs.settings import LogSettings
from bore.option import Option, option, switch
from bore.options import statusport, values
from bore.options.secrets import readSecrets
from bore.relay.interface import HALF_OPEN_TIMEOUT, MAX_VISITORS
from bore.system.filestamps import stampOf
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret
from bore.wire.values import value

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from bore.tls.certificates import Credentials

#: Selects the backend of the relay. It exists for tests and comparisons, and so it is not an option.
_RELAY_VARIABLE: Final = "BORE_RELAY"

SECRET: Final = option(
    "-s --secret",
    "Secret shared by server and client; other users of this machine can read it in the list of processes",
    str,
    "SECRET",
    None,
    environment="BORE_SECRET",
)


def _secretsIn(name: str) -> tuple[Secret, ...] | None:
    """Parse the name of a file with secrets."""
    return tuple(map(Secret, readSecrets(str(values.path(name)))))


SECRET_FILE: Final = option(
    "--secret-file",
    "File with the secret, not readable by other users; a server accepts each of several lines",
    _secretsIn,
    "PATH",
    None,
    isFile=True,
)
#: What is right instead of the key ``secret``.
INSTEAD_OF_KEY: Final = (
    "a secret must be in a file of its own: write it with 'bore secret --write PATH', and name it by secret-file = "
    '"PATH"'
)
VISITORS: Final = option(
    "--max-visitors", "Maximum number of simultaneous visitors per tunnel; 0: unlimited", values.count, "NUMBER",
    MAX_VISITORS,
)  # fmt: skip
CONFIG: Final = option(
    "--config", "Settings file (TOML); flags take precedence over its keys", values.path, "PATH", None
)
WATCH: Final = switch("--watch", "Reload the settings file when it changes")
HALF_OPEN: Final = option(
    "--half-open-timeout",
    "Close a visitor's connection when one direction has ended and the other has been idle for SECONDS",
    values.seconds,
    "SECONDS",
    HALF_OPEN_TIMEOUT,
)


@value
class FileSettings:
    """
    What a command has of its settings file.

    :ivar path: the file.
    :ivar watch: whether it is read again when it changes.
    :ivar values: the keys, with the values in effect.
    :ivar fixed: the keys that cannot change while the program runs.
    """

    path: Path
    watch: bool
    values: tuple[tuple[str, object], ...]
    fixed: frozenset[str]

    def changed(self, new: FileSettings) -> list[str]:
        """Return the keys with other values in a new version of the file."""
        return [key for (key, old), (_, value) in zip(self.values, new.values, strict=True) if old != value]


def fileSettings(
    found: Values, path: Path, keys: Sequence[Option[object]], fixed: Sequence[Option[object]]
) -> FileSettings:
    """
    Return what a command has of its settings file.

    :param keys: all keys of such a file.
    :param fixed: those that cannot change while the program runs.
    """
    values = tuple((each.key, found[each] if each in fixed else _content(found[each])) for each in keys)
    return FileSettings(path, found[WATCH], values, frozenset(each.key for each in fixed))


def _content(value: object) -> object:
    """Return what changes with a value, which for the name of a file is also the content of that."""
    return (value, stampOf(value)) if isinstance(value, Path) else value


_LEVELS: Final = ("debug", "info", "warn", "error")
_FORMATS: Final = ("text", "json")


class LogOptions:
    """
    The options of the log.

    :param defaults: the settings without any option.
    :ivar all: the options.
    """

    def __init__(self, defaults: LogSettings) -> None:
        self._level = option(
            "--log-level",
            "Lowest level to log: debug, info, warn or error",
            values.oneOf(*_LEVELS),
            "LEVEL",
            defaults.level,
            choices=_LEVELS,
        )
        self._format = option(
            "--log-format",
            "Log format: text or json",
            values.oneOf(*_FORMATS),
            "FORMAT",
            defaults.format,
            choices=_FORMATS,
        )
        self.all: tuple[Option[object], ...] = (self._level, self._format)

    def settings(self, found: Values) -> LogSettings:
        """Return the settings of the log."""
        return LogSettings(found[self._level], found[self._format])


LOG: Final = LogOptions(LogSettings())

#: The options with a key in a file that the server and the client have in common.
KEYS: Final[tuple[Option[object], ...]] = (SECRET_FILE, VISITORS, HALF_OPEN, *LOG.all, WATCH, *statusport.KEYS)


def controlPort(help: str, parse: Callable[[str], int]) -> Option[int]:
    """Make the option of the control port."""
    return option("--control-port", help, parse, "PORT", CONTROL_PORT, environment="BORE_CONTROL_PORT")


def isRelayPortable(environment: Mapping[str, str]) -> bool:
    """
    Return whether BORE_RELAY turns splice off.

    :raises UsageError: if it has another value than ``portable``, ``splice`` or none.
    """
    match environment.get(_RELAY_VARIABLE, ""):
        case "portable":
            return True
        case "splice" | "":
            return False
        case other:
            raise UsageError(f"{_RELAY_VARIABLE}={other!r}: must be splice or portable, or not be set")


def secret(found: Values) -> Secret | None:
    """
    Return the secret of a client, from the option or variable that has it.

    :raises UsageError: if it is empty by mistake, or given twice.
    """
    all = secrets(found)
    if len(all) > 1:
        raise UsageError(f"{found.name(SECRET_FILE)} has {len(all)} lines: a client has one secret, in one line")
    return all[0] if all else None


def secretsInFile(found: Values) -> bool:
    """Return whether a file has the secrets."""
    return found.given(SECRET_FILE) and not found.flagged(SECRET)


def secrets(found: Values) -> tuple[Secret, ...]:
    """
    Return the secrets of a server, from the option or variable that has them. All of them are valid.

    :raises UsageError: if one is empty by mistake, or given twice.
    """
    if found.flagged(SECRET) and found.flagged(SECRET_FILE):
        raise UsageError(f"{found.name(SECRET)} and {found.name(SECRET_FILE)} exclude each other")
    if secretsInFile(found):
        return found[SECRET_FILE] or ()
    text = found[SECRET]
    if text is None:
        return ()
    if not text and not found.given(SECRET):
        raise UsageError(
            f"{SECRET.environment} is empty: set it to the secret, or unset it to use none "
            "(--secret '' is an empty secret)"
        )
    try:
        return (Secret(text),)
    except UnicodeEncodeError:
        raise UsageError("the secret is not valid UTF-8") from None


def refuseWatch(found: Values) -> None:
    """
    Refuse --watch without a file.

    :raises UsageError: if it was given.
    """
    if found[WATCH]:
        raise UsageError(f"{WATCH.name} has no effect without {CONFIG.name}")


def refuseWithoutTls(found: Values, options: tuple[Option[object], ...], tls: Option[bool], instead: str) -> None:
    """
    Refuse options that have no effect without TLS.

    :param tls: the switch for TLS.
    :param instead: another way to use TLS.
    :raises UsageError: if one of them was given.
    """
    for each in options:
        if found.given(each):
            raise UsageError(f"{found.name(each)} has no effect without TLS: add {found.name(tls)} or {instead}")


def checkPair(
    found: Values, certificateOption: Option[Path | None], keyOption: Option[Path | None]
) -> Credentials | None:
    """
    Read a certificate and its key, if there are any.

    :raises UsageError: if one of the files is missing or unusable.
    """
    certificate, key = found[certificateOption], found[keyOption]
    if (certificate is None) != (key is None):
        names = f"{found.name(certificateOption)} and {found.name(keyOption)}"
        raise UsageError(f"{names} need each other: give both or none")
    if certificate is None or key is None:
        return None
    from bore.tls.certificates import BadCredentials, readCredentials
    from bore.tls.contexts import repeatedContext

    try:
        credentials = readCredentials(certificate, key)
        repeatedContext(credentials)  # OpenSSL refuses some keys that were read without an error
        return credentials
    except BadCredentials as e:
        raise UsageError(str(e)) from None


def certificates(found: Values, option: Option[object], path: Path) -> tuple[Certificate, ...]:
    """
    Read the certificates of authorities.

    :raises UsageError: if the file cannot be used.
    """
    from bore.tls.certificates import BadCredentials, readAuthorities

    try:
        return readAuthorities(path)
    except BadCredentials as e:
        raise UsageError(f"{found.name(option)}: {e}") from None


def objectionTo(path: Path) -> str | None:
    """Return why a settings file must not have a secret: others can read it. None: it may."""
    from bore.system.privatefiles import GIVEN, NotPrivate, openPrivate

    try:
        openPrivate(path, GIVEN).close()
    except NotPrivate as e:
        return str(e)
    return None
