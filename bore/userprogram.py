"""What ``bore user`` runs: it edits the users file of a server, which need not run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from bore.commandline import BadFile
from bore.config.usersedit import UsersText
from bore.config.usersfile import ADDRESS
from bore.options import users
from bore.options.invitation import Invitation
from bore.options.usercommands import SYSTEM_SETTINGS, SYSTEM_STATE, UserCommand
from bore.streams.addresses import hostPort, parseHostPort
from bore.system.atomicfiles import lockedFolder, makeFolder, replaceWhole
from bore.tls.certificates import BadCredentials
from bore.users.entry import CERTIFICATE, MAX_KEYS, SHARED, UserKey, Users
from bore.users.ports import ALL_PORTS
from bore.users.rights import Rights, endText, rightsText
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret, newSecret

#: How long to wait for another program that edits the file, in seconds.
_LOCK_TIMEOUT: Final = 20.0

_NEW_FILE: Final = "# The users of this server. 'bore user' edits this file, and keeps what you write here.\n"

T = TypeVar("T")


class Printed(NamedTuple):
    """
    What a command prints.

    :ivar lines: on standard output.
    :ivar before: before them, on standard error.
    :ivar after: behind them, on standard error.
    """

    lines: Sequence[str] = ()
    before: Sequence[str] = ()
    after: Sequence[str] = ()


class CannotDo(Exception):
    """A command cannot be done with this users file, or this server. The text says what would be right."""


def run(command: UserCommand) -> Printed:
    """
    Run one of the commands.

    :raises CannotDo: when it cannot be done.
    :raises bore.commandline.BadFile: when the users file has mistakes.
    """
    actions: dict[str, Callable[[UserCommand], Printed]] = {
        "add": _add,
        "list": lambda command: Printed(_table(_read(command.file), command.file)),
        "show": lambda command: Printed(_shown(command.name, _rights(_read(command.file), command))),
        "change": _change,
        "revoke": _revoke,
        "rotate": _rotate,
    }
    return actions[command.action](command)


def _add(command: UserCommand) -> Printed:
    secret = newSecret()
    isNew = not command.file.exists()

    def edit(text: UsersText, _: Users) -> Invitation | None:
        if command.name in text.names:
            raise CannotDo(
                f"{command.name} is in {command.file} already: 'bore user change {command.name}' changes what the user "
                f"may do, 'bore user rotate {command.name}' makes a new secret"
            )
        if command.name == SHARED or command.certificate:
            text.add(command.name, {**({"key": CERTIFICATE} if command.certificate else {}), **command.keys})
            return None
        made = _invitation(command, text, secret)
        text.add(command.name, {"key": _key(secret), **command.keys})
        return made

    made, new = _edit(command, edit)
    rights = _rights(new, command)
    after = []
    if isNew and command.settings is None:
        file = command.certificateFile
        given = "" if file is None else f" --tls-cert {file} --tls-key FILE"
        after.append(f"The server has to run with this file: bore server --tls{given} --users {command.file}")
        if file is None and made is not None:
            after.append("A server with --tls-cert has another key than this line: then give --tls-cert here as well.")
    if made is None:
        return Printed(_shown(command.name, rights), after=after)
    if rights.original:
        after.append(f"With an original client: bore local PORT --to {made.host} --secret {secret}")
    return _toSend(made, rights, after)


def _change(command: UserCommand) -> Printed:
    def edit(text: UsersText, found: Users) -> Rights:
        before = _rights(found, command)
        if command.name not in text.names:
            raise CannotDo(f"{command.file} has no table for the shared secret: 'bore user add \"{SHARED}\"' adds it")
        text.change(command.name, {**dict.fromkeys(command.unset), **command.keys})
        return before

    before, new = _edit(command, edit)
    rights = _rights(new, command)
    lost = before.ports - rights.ports - rights.exclusive
    closes = f", and closes tunnels of {command.name} on other ports" if lost else ""
    after = f"A server that runs with {command.file} follows within 2 seconds{closes}."
    return Printed(_shown(command.name, rights), after=(after,))


def _revoke(command: UserCommand) -> Printed:
    def edit(text: UsersText, found: Users) -> Rights:
        rights = _rights(found, command)
        if command.name not in text.names:
            raise CannotDo(f"{command.file} has no table for the shared secret")
        text.remove(command.name)
        return rights

    from bore.admin.ended import ended, holdings

    before = holdings(command.runtime, command.name) if command.name != SHARED else []
    rights, _ = _edit(command, edit)
    if command.name == SHARED:
        return Printed((f"Who has the shared secret may use all that {command.file} does not keep for others.",))
    return Printed(
        (f"{command.name} is revoked.",),
        after=(
            f"A server that runs with {command.file} ends the sessions of {command.name} within 2 seconds, and with "
            f"them the tunnels and streams on {_ports(rights)}.",
            *ended(before, command.name),
        ),
    )


def _rotate(command: UserCommand) -> Printed:
    if command.name == SHARED:
        raise CannotDo("the shared secret is in the server's --secret-file: change it there")
    secret = newSecret()
    now = datetime.now(UTC).replace(microsecond=0)
    end = now + command.grace

    def edit(text: UsersText, found: Users) -> Invitation:
        _rights(found, command)
        entry = found.entries[command.name]
        if not entry.keys:
            raise CannotDo(f"{command.name} has no secret, but a certificate: its authority issues a new one")
        made = _invitation(command, text, secret)
        old = [each for each in entry.keys[1:] if each.until is None or each.until > now.timestamp()]
        if command.grace:
            old.insert(0, UserKey(entry.keys[0].secret, end.timestamp()))
        kept = [str(each) for each in old[: MAX_KEYS - 1]]
        text.change(command.name, {"key": _key(secret), users.OLD_KEYS.key: kept or None})
        return made

    made, new = _edit(command, edit)
    after = f"The former line works until {end:%Y-%m-%d %H:%M} UTC." if command.grace else "The former line is void."
    return _toSend(made, new.entries[command.name].rights, (after,))


def _edit(command: UserCommand, edit: Callable[[UsersText, Users], T]) -> tuple[T, Users]:
    """Edit the file while no other program does, and return the result and its new content."""
    path = command.file
    try:
        makeFolder(path.parent)
        with lockedFolder(path.parent, _LOCK_TIMEOUT) as ours:
            if not ours:
                raise CannotDo(f"another program has been editing {path} for {_LOCK_TIMEOUT:.0f} seconds: try again")
            found = _read(path)
            text = UsersText(path.read_text("utf-8-sig") if path.exists() else _NEW_FILE)
            made = edit(text, found)
            new: list[Users] = []
            replaceWhole(path, str(text).encode(), lambda written: new.append(_checked(written, path)))
    except OSError as e:
        raise CannotDo(f"{path} cannot be written: {e.strerror}") from e
    return made, new[0]


def _checked(written: Path, path: Path) -> Users:
    """Read the new file before it takes the place of the old one: what the user asks for may contradict itself."""
    try:
        return users.readUsers(written)
    except BadFile as e:
        raise BadFile([line.replace(str(written), str(path)) for line in e.lines]) from None


def _read(path: Path) -> Users:
    return users.readUsers(path) if path.exists() else Users()


def _rights(found: Users, command: UserCommand) -> Rights:
    """
    Return the rights of the user of a command.

    :raises CannotDo: if the file does not have this user.
    """
    if command.name == SHARED:
        return found.shared
    entry = found.entries.get(command.name)
    if entry is not None:
        return entry.rights
    nearest = get_close_matches(command.name, found.entries, 1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "'bore user list' has all users"
    raise CannotDo(f"{command.file} has no user {command.name!r}; {hint}")


def _key(secret: str) -> str:
    return str(UserKey(Secret(secret)))


def _invitation(command: UserCommand, text: UsersText, secret: str) -> Invitation:
    """Make the line for a user. An address that was given is remembered in the file."""
    remembered = text.top(ADDRESS)
    if command.address is None and remembered is None:
        raise CannotDo(
            "the server's address is not known: add --address HOST, the name that clients reach it by. The users file "
            "remembers it"
        )
    host, port = command.address or parseHostPort(remembered or "")
    settings = command.settings
    if port is None:
        tls = None if settings is None else settings.tls
        port = (tls and tls.port) or (settings and settings.controlPort) or CONTROL_PORT
    if command.address is not None:
        text.setTop(ADDRESS, hostPort(host, port))
    return Invitation(command.name, secret, host, port, _pins(command, host, port))


def _pins(command: UserCommand, host: str, port: int) -> tuple[str, ...]:
    from bore.admin.serverkeys import OtherKey, refuseOthers
    from bore.tls.serverpins import serverPins  # loads OpenSSL

    settings = command.settings
    if settings is not None and settings.tls is None:
        raise CannotDo("this server does not use TLS, which users need: add tls = true to its settings file")
    certificate = command.certificateFile
    if certificate is None and settings is not None and settings.tls is not None:
        certificate = settings.tls.certificate
    folder = command.folder
    if SYSTEM_SETTINGS in command.file.absolute().parents:  # of a unit of systemd
        folder = SYSTEM_STATE
    try:
        pins = serverPins(certificate, folder, host)
        if certificate is None:
            refuseOthers(command.runtime, port, pins, folder)
    except (BadCredentials, OtherKey) as e:
        raise CannotDo(str(e)) from None
    return pins


def _toSend(made: Invitation, rights: Rights, after: Sequence[str]) -> Printed:
    until = "" if rights.expires is None else f", and works until {endText(rights.expires)}"
    before = f"Send {made.user} this line. It is shown only once{until}:"
    return Printed((f"  bore join {made.line}",), (before,), after)


def _ports(rights: Rights) -> str:
    if rights.ports == ALL_PORTS:
        return "any port"
    ports = rights.ports | rights.exclusive
    return f"{'port' if len(ports) == 1 else 'ports'} {ports}"


def _facts(rights: Rights) -> dict[str, str]:
    """Return the limits of a user, by the keys of the file."""
    facts = dict(rightsText(rights))
    if rights.expires is not None and rights.expires <= datetime.now(UTC).timestamp():
        facts[users.EXPIRES.key] += " (over)"
    return facts


def _shown(name: str, rights: Rights) -> list[str]:
    facts = list(_facts(rights).items())
    return _aligned([("user", name), *(facts or [("limits", "none, but those of the server")])])


def _table(found: Users, path: Path) -> list[str]:
    rights = {name: entry.rights for name, entry in found.entries.items()}
    if found.shared != Rights():
        rights[SHARED] = found.shared
    if not rights:
        return [f"{path} has no users: 'bore user add NAME' adds one"]
    facts = {name: _facts(each) for name, each in rights.items()}
    always = (users.PORTS.key, users.EXPIRES.key)
    used = {key for each in facts.values() for key in each}.union(always)
    keys = [each.key for each in users.RIGHTS if each.key in used]
    rows = [(name, *(each.get(key, "-") for key in keys)) for name, each in facts.items()]
    return _aligned([("NAME", *(key.upper() for key in keys)), *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
