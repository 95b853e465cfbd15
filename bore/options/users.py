"""The keys of a users file, which are also flags of the commands that change it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bore.commandline import UsageError, Values
from bore.config.tables import Keys
from bore.config.usersfile import readUsersFile
from bore.option import Option, option, repeated, switch
from bore.options import values
from bore.users.entry import MAX_KEYS, SHARED, UserEntry, Users, parseKey, parseOldKey
from bore.users.ports import ALL_PORTS, parsePorts, ports
from bore.users.rights import Rights, parseEnd

KEY: Final = option("--key", "SHA-256 of the user's secret", parseKey, "KEY", None)
OLD_KEYS: Final = repeated(
    "--old-key", "Former key that is still valid for some time", parseOldKey, "KEY", keyed="old-keys"
)
PORTS: Final = repeated("--ports", "Public ports that the user may have", parsePorts, "PORT[-PORT]", unquoted=True)
EXCLUSIVE: Final = repeated(
    "--exclusive", "Public ports that only this user may have", parsePorts, "PORT[-PORT]", unquoted=True
)
MAX_TUNNELS: Final = option(
    "--max-tunnels", "Tunnels at the same time; 0: unlimited", values.count, "NUMBER", Rights().maxTunnels
)
MAX_VISITORS: Final = option(
    "--max-visitors",
    "Visitors of all the user's tunnels at the same time; 0: unlimited",
    values.count,
    "NUMBER",
    Rights().maxVisitors,
)
BANDWIDTH: Final = option(
    "--bandwidth", "Limit of each visitor's stream, in each direction", values.rate, "RATE", Rights().bandwidth
)
FROM: Final = repeated("--from", "Networks from which the user may connect", values.network, "NETWORK")
EXPIRES: Final = option(
    "--expires",
    "Date of the last day (UTC), or time, after which the user has no rights",
    parseEnd,
    "DATE",
    None,
    unquoted=True,
)
ORIGINAL: Final = switch("--original", "Let the user come with an original client, or without TLS")

#: What is a right, and not a key.
RIGHTS: Final[tuple[Option[object], ...]] = (
    PORTS,
    EXCLUSIVE,
    MAX_TUNNELS,
    MAX_VISITORS,
    BANDWIDTH,
    FROM,
    EXPIRES,
    ORIGINAL,
)

#: The keys of a user's table.
KEYS: Final = (KEY, OLD_KEYS, *RIGHTS)

#: Keys that people may try, and what is right instead.
_REFUSED: Final = {
    "secret": "a users file has the key of a secret only: 'bore user add' writes it",
    "port": "is called ports",
}


def readUsers(path: Path) -> Users:
    """
    Read a users file.

    :raises bore.commandline.BadFile: with all its mistakes.
    """
    return readUsersFile(path, KEYS, (KEY,), _REFUSED, _entry)


def _entry(name: str, keys: Keys) -> UserEntry:
    found = Values(KEYS, {}, {}).withKeys(keys)
    if name == SHARED:
        for each in (KEY, OLD_KEYS, ORIGINAL):
            if each in keys:
                raise UsageError(f"{each.key} has no effect here: this table has the rights of the shared secret")
    current = () if found[KEY] is None else (found[KEY],)
    if found[OLD_KEYS] and not current:
        raise UsageError(f"{OLD_KEYS.key} needs a {KEY.key} that is a current one")
    if len(found[OLD_KEYS]) >= MAX_KEYS:
        raise UsageError(f"{OLD_KEYS.key} has more than {MAX_KEYS - 1} keys: remove the oldest")
    rights = Rights(
        ports(found[PORTS]) if found[PORTS] else ALL_PORTS,
        ports(found[EXCLUSIVE]),
        found[MAX_TUNNELS],
        found[MAX_VISITORS],
        found[BANDWIDTH],
        found[FROM],
        found[EXPIRES],
        found[ORIGINAL],
    )
    return UserEntry(name, (*current, *found[OLD_KEYS]), rights)
