"""bore upgrade: what has become of an upgrade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bore import exits
from tests.admin.commands import CommandCase
from tests.admin.program import SERVER, FakeProgram

WORKERS: Final[Mapping[str, object]] = {"workers": [{"worker": 1, "generation": 1}]}


class Answers(dict[str, object]):
    """
    The answers of a server with workers.

    :param after: its status when it was asked for an upgrade.
    """

    def __init__(self, after: Mapping[str, object]) -> None:
        super().__init__({"GET /status": {**SERVER, **WORKERS}, "POST /upgrade": (202, {})})
        self._after = {**SERVER, **after}

    def get(self, key: str, default: object = None) -> object:
        if key == "POST /upgrade":
            self["GET /status"] = self._after
        return super().get(key, default)


class UpgradeTests(CommandCase):
    """Each client that comes again is an event, and the status has the last hundred."""

    def upgrade(self, after: Mapping[str, object]) -> tuple[int, str, str]:
        FakeProgram(self, self.folder / "server-7835.sock", Answers(after))
        return self.bore("upgrade")

    def test_itIsKnownWhateverHasHappenedSince(self) -> None:
        workers = [{"worker": 1, "generation": 1}, {"worker": 2, "generation": 2}]
        after = {"totals": {"events": {"upgraded": 1}}, "workers": workers, "recent": [{"event": "tunnel-back"}]}
        self.assertEqual(self.upgrade(after), (exits.OK, "upgraded: generation 2, version 1.2.3\n", ""))

    def test_andSoIsOneThatHasFailed(self) -> None:
        code, _, error = self.upgrade({**WORKERS, "totals": {"events": {"upgrade-failed": 1}}, "recent": []})
        self.assertEqual(code, exits.FAILURE)
        self.assertIn("no upgrade, the server goes on as before", error)
