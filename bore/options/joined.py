"""
The servers that the user of this machine has joined.

They are in a file with the line of each invitation, the one that is used by default last. A client that names its
server does not read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from bore.commandline import UsageError
from bore.options.invitation import Invitation, parseInvitation
from bore.system.atomicfiles import lockedFolder, makeFolder, replaceWhole
from bore.system.privatefiles import NotPrivate, Policy, readPrivate
from bore.system.statefolder import settingsFolder

#: Who can read it is this user for the servers.
_POLICY: Final = Policy(forbidden=0o077, caution="if no one has read it, ")

#: In bytes; more than any file that was written here.
_LONGEST: Final = 1 << 18

#: How long to wait for another program that edits the file, in seconds.
_LOCK_TIMEOUT: Final = 5.0

_HEAD: Final = "# The servers that were joined with 'bore join'. Whoever reads this file is you for them.\n"


class Joined:
    """
    The file.

    :param path: the file; made when the first server is joined.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[Invitation, ...]:
        """
        Return the invitations, the one that is used by default last.

        :raises UsageError: when the file cannot be used.
        """
        try:
            text = readPrivate(self.path, _POLICY, _LONGEST).decode()
        except FileNotFoundError:
            return ()
        except NotPrivate as e:
            raise UsageError(f"{self.path} {e}") from None
        except OSError as e:
            raise UsageError(f"{self.path} cannot be read ({e.strerror})") from None
        except UnicodeDecodeError:
            raise UsageError(f"{self.path} is not UTF-8 text: join the servers again") from None
        found = []
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip() and not line.startswith("#"):
                try:
                    found.append(parseInvitation(line))
                except ValueError as e:
                    raise UsageError(f"{self.path}:{number}: the line {e}, or remove it") from None
        return tuple(found)

    def find(self, user: str, host: str, port: int | None) -> Invitation | None:
        """
        Return the invitation of a user to a server; None if there is none.

        :param port: the port; None: any, if there is one server only.
        :raises UsageError: when there are several.
        """
        found = [each for each in self.read() if _matches(each, user, host, port)]
        if len(found) > 1:
            raise UsageError(f"{user}@{host} has several ports: give one of {', '.join(map(str, found))}")
        return found[0] if found else None

    def unknown(self, text: str) -> str:
        """Return what is wrong with the name of a server that was not joined."""
        names = list(map(str, self.read()))
        nearest = get_close_matches(text, names, 1)
        if nearest:
            return f"{text} was not joined; did you mean {nearest[0]}?"
        return f"{text} was not joined; " + (
            f"joined: {', '.join(names)}" if names else "no server was: 'bore join LINE' joins one"
        )

    def add(self, invitation: Invitation) -> None:
        """
        Add an invitation as the default one, in the place of a former one for the same user and server.

        :raises UsageError: when the file cannot be used.
        :raises OSError: when it cannot be written.
        """
        self._replace(invitation, (invitation,))

    def remove(self, invitation: Invitation) -> None:
        """
        Remove an invitation.

        :raises UsageError: when the file cannot be used.
        :raises OSError: when it cannot be written.
        """
        self._replace(invitation, ())

    def _replace(self, invitation: Invitation, by: Sequence[Invitation]) -> None:
        """Remove the invitation for a user and a server, and add others at the end."""
        makeFolder(self.path.parent)
        with lockedFolder(self.path.parent, _LOCK_TIMEOUT) as ours:
            if not ours:
                raise UsageError(f"another program is editing {self.path}: try again")
            others = [each for each in self.read() if str(each) != str(invitation)]
            text = _HEAD + "".join(f"{each.line}\n" for each in (*others, *by))
            replaceWhole(self.path, text.encode())


def joinedServers(environment: Mapping[str, str]) -> Joined | None:
    """Return the file of this user; None if there is no directory for it."""
    folder = settingsFolder(environment)
    return None if folder is None else Joined(folder / "servers")


def _matches(invitation: Invitation, user: str, host: str, port: int | None) -> bool:
    return invitation.user == user and invitation.host.lower() == host.lower() and port in (None, invitation.port)
