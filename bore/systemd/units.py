"""The texts of the units, as they fit an installation, and of the settings files that they begin with."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Final

#: What the units in the package have in the place of the program, and of the directory of settings files.
PROGRAM: Final = "/opt/txbore/bin/bore"
SETTINGS: Final = "/etc/txbore"

#: The same directory for the units of a user (systemd.unit(5)), and in their comments.
_USER_SETTINGS: Final = "%E/txbore"
_USER_SHOWN: Final = "~/.config/txbore"

#: Keys that only the system's manager can obey, or that are for services with a user of their own.
_SYSTEM_ONLY: Final = frozenset(
    (
        "AmbientCapabilities",
        "After",
        "CapabilityBoundingSet",
        "DynamicUser",
        "Group",
        "LimitNOFILE",
        "LogsDirectory",
        "PrivateDevices",
        "PrivateIPC",
        "PrivateMounts",
        "PrivateTmp",
        "PrivateUsers",
        "ProcSubset",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectProc",
        "ProtectSystem",
        "RemoveIPC",
        "StateDirectory",
        "SupplementaryGroups",
        "Wants",
        "WorkingDirectory",
    )
)

#: How the paragraph begins that is about the user of a service.
_OF_USER: Final = "# The service runs as a user"

#: The last line of a unit that was written by this program.
_SEAL: Final = "# Written by 'bore service install', checksum "

_SERVER_SETTINGS: Final = """\
# The settings of a server: its options without the dashes, see "bore server --help". "bore check" finds mistakes.

# The public ports.
min-port = 20000
max-port = 20999

# IPv4 and IPv6.
bind-addr = "::"

# The server makes a key at its first start, and logs the fingerprint by which clients know it.
tls = true

# Clients need the same secret. "bore user add" gives each person a secret of their own instead.
secret-file = "secret"
"""

_CLIENT_SETTINGS: Final = """\
# The settings of a client: its options without the dashes, see "bore up --help". "bore check" finds mistakes.

# The server: the line that its operator has sent, or an address with a file that has the secret in it.
#server = "bore://NAME:SECRET@tunnel.example.com:7835/#SHA256:..."
#server = "tls://tunnel.example.com"
#secret-file = "secret"

# A table for each tunnel: the local service, and its port at the server.
#[tunnel.web]
#local = 8000
#port = 20080
"""


def unitText(name: str, program: str, user: bool) -> str:
    """
    Return the text of a unit.

    :param name: its file, such as ``bore-server.service``.
    :param program: the path of ``bore``, or a command line.
    :param user: whether it is for the manager of a user, and not for that of the system.
    """
    text = files(__package__).joinpath("units", name).read_text(encoding="utf-8").replace(PROGRAM, program)
    text = _forUser(text) if user else text
    return sealed(text)


def sealed(text: str) -> str:
    """Return the text of a unit with its checksum, by which :func:`isOurs` knows it."""
    return f"{text}\n{_SEAL}{_checksum(text)}\n"


def isOurs(text: str) -> bool:
    """Return whether a unit is as this program has written it, whichever version that was."""
    content, found, seal = text.rpartition(f"\n{_SEAL}")
    return bool(found) and seal.strip() == _checksum(content)


def settingsText(isServer: bool) -> str:
    """Return what a settings file begins with."""
    return _SERVER_SETTINGS if isServer else _CLIENT_SETTINGS


def escaped(word: str) -> str:
    """Return a word of a command line as a unit has it (systemd.service(5))."""
    word = word.replace("%", "%%")
    if re.fullmatch(r"[\w%+,./:=@-]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _forUser(text: str) -> str:
    """Return a unit without the keys that only the system's manager can obey, and the comments in front of them."""
    lines: list[str] = []
    comments: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            comments.append(line)
            continue
        if line.partition("=")[0] not in _SYSTEM_ONLY:
            lines += [*comments, line]
        comments.clear()
    shown = re.sub(rf"#\n{_OF_USER}.*\n(?:#.*\n)*", "", "\n".join(lines) + "\n", count=1)
    made = (
        line.replace(SETTINGS, _USER_SHOWN).replace('"systemctl ', '"systemctl --user ')
        if line.startswith("#")
        else line.replace(SETTINGS, _USER_SETTINGS)
        for line in shown.splitlines()
    )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(made)).replace("multi-user.target", "default.target") + "\n"
