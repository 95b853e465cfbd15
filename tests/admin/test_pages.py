"""What bore status shows."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.admin.answer import Part
from bore.admin.clientpage import clientPage
from bore.admin.layout import WARNING, Line, shownWidth
from bore.admin.page import View
from bore.admin.serverpage import serverPage
from bore.admin.tunnelpage import tunnelPage
from tests.admin.clusternode import NODE
from tests.admin.program import CLIENT, SERVER, VISITORS, WORKERS
from tests.wire.strategies import UNHURRIED

NOW = datetime.datetime(2026, 11, 26, 12, 5, tzinfo=datetime.UTC)

SERVER_PAGE = """\
server 1.2.3: running, started 2 h 5 min ago (pid 4711)
  control port  0.0.0.0:7835, TLS with the key
                SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
  public ports  20000 to 20999 on 0.0.0.0
  admits        the users of the users file
  visitors      3 open, 2 waiting, 133 in total
  refused       invalid-secret (4), port-in-use (1)
  bytes         1.2 MB in, 3.4 GB out

! limit reached: tunnels of one user (alice), 2 of 2
! limit nearly reached: visitors of one tunnel (20000), 81 of 100

TUNNEL        USER   STATE         OPEN  WAITING  TOTAL  REFUSED      IN     OUT
20000         alice  up for 2 h       3             120           1.2 MB  3.4 GB
                     4 min
unix:/run/    alice  away for         0        2     12        1   999 B     0 B
bore/web.            13 s, kept
sock                 for 47 s
                     more

SESSION            USER   FOR        ROUND TRIP  LANES      TUNNELS
203.0.113.7:51234  alice  2 h 4 min       12 ms  4, 1 busy  20000,
                                                            unix:/run/bore/web.
                                                            sock

USER   SESSIONS  TUNNELS  VISITORS  EXPIRES
alice         1  2 of 2   5         2027-06-29"""

WORKERS_PAGE = """\
WORKER  GENERATION  STATE       FOR        SESSIONS  VISITORS  CPU        MEMORY
     1           1  retired,    2 h 5 min         0  2         1 min 1 s   31 MB
                    does not
                    answer
     2           2  starting    2 s               0  0"""

NODES_PAGE = """\
OTHER NODE  STATE  LAST BEAT   TUNNELS  ADDRESS                       VERSION
node2       up     0 s         12       tls://node2.example.com:7835  1.2.3
node3       away   1 min 15 s  9        tls://node3.example.com:7835  1.2.3"""

FORWARDS_PAGE = """\
PASSED ON  NODES         STATE                        OPEN  TOTAL      IN    OUT
20100      node2, node3  passed on for 5 min 12 s        2      9  1.2 kB  99 kB
20101      none          away for 10 s, kept for         0      0     0 B    0 B
                         50 s more

SESSION"""

FORWARD_PAGE = """\
tunnel 20100
  state     passed on for 5 min 12 s
  nodes     node2, node3
  visitors  2 open, 0 waiting, 9 in total, 0 refused
  bytes     1.2 kB in, 99 kB out

no visitors"""

CLIENT_PAGE = """\
client 1.2.3: partly up, started 59 s ago (pid 4712)
  visitors  1 open, 7 in total
  bytes     5.0 kB in, 70 kB out

SERVER             STATE               TRUST               ROUND TRIP  LANES
tunnel.example.    up for 1 min        known, and               20 ms  4, 0 busy
com:7835                               verified by secret
spare.example.     away for 5 s,
com:7835           Connection
                   refused, next
                   attempt in 3 s

NAME  LOCAL       PUBLIC       STATE        OPEN  TOTAL  UNSERVED      IN    OUT
web   localhost:  tunnel.      up for          1      7         2  5.0 kB  70 kB
      8000 is     example.     1 min
      down        com:20080
game  localhost:               refused,        0      0               0 B    0 B
      27015                    port 80 is
                               outside
                               this
                               server's
                               range"""

TUNNEL_PAGE = """\
tunnel 20000
  state     up for 2 h 4 min
  user      alice
  client    203.0.113.7:51234
  visitors  3 open, 0 waiting, 120 in total, 0 refused
  bytes     1.2 MB in, 3.4 GB out

VISITOR             FOR    STATE                 IN     OUT
198.51.100.9:40000  5 min  served on a lane  1.0 kB  2.0 MB
198.51.100.9:40001  1 s    waiting              0 B     0 B"""


def tunnelOf(answer: dict[str, object]) -> dict[str, object]:
    """The first tunnel, with its visitors."""
    tunnels = answer["tunnels"]
    assert isinstance(tunnels, list)
    return {**tunnels[0], "list": VISITORS}


def pages(answers: Sequence[object], width: int) -> list[Line]:
    """The pages that a server's answer, a client's and that about a tunnel make."""
    view = View(width, NOW)
    server, client, tunnel = answers
    return [
        *serverPage(Part(server), view),
        *clientPage(Part(client), view),
        *tunnelPage("server", Part(tunnel), view),
        *tunnelPage("client", Part(tunnel), view),
    ]


def text(lines: list[Line]) -> str:
    return "\n".join(line.text for line in lines)


def changed(value: object, change: object, number: list[int]) -> object:
    """An answer with another value in one place; ``number`` counts the places down."""
    number[0] -= 1
    if number[0] < 0:
        return value
    if number[0] == 0:
        return change
    if isinstance(value, dict):
        return {key: changed(each, change, number) for key, each in value.items()}
    if isinstance(value, list):
        return [changed(each, change, number) for each in value]
    return value


class PagesTests(SynchronousTestCase):
    """Pages for people."""

    maxDiff = None

    def test_aServer(self) -> None:
        self.assertEqual(text(serverPage(Part(SERVER), View(80, NOW))), SERVER_PAGE)

    def test_aNodeOfACluster(self) -> None:
        lines = serverPage(Part({**SERVER, **NODE}), View(80, NOW))
        page = text(lines)
        self.assertIn("  cluster       node node1, new visitors wait, the engine has not answered for\n", page)
        self.assertIn(NODES_PAGE, page)
        marked = [line.text for line in lines if line.mark == WARNING]
        self.assertTrue(any("node3" in line for line in marked))
        self.assertNotIn("node2", text(serverPage(Part({**SERVER, **NODE}), View(80, NOW, "alice"))))
        well: dict[str, object] = {
            "node": "node1",
            "state": "acting",
            "engineAway": None,
            "recovering": True,
            "recoversIn": 44.5,
            "nodes": [],
        }
        page = text(serverPage(Part({**SERVER, "cluster": well}), View(100, NOW)))
        self.assertIn(
            "cluster       node node1, no new tunnels yet, as the engine is new or empty, for up to 44 s\n", page
        )

    def test_theTunnelsThatANodePassesOn(self) -> None:
        [forward] = cast("list[dict[str, object]]", NODE["forwards"])
        away = {
            **forward,
            "address": 20101,
            "state": "away",
            "awaySince": "2026-11-26T12:04:50.000Z",
            "keptFor": 50.2,
            "visitors": {"open": 0, "waiting": 0, "total": 0, "refused": 0},
            "bytes": {"toClient": 0, "toVisitors": 0},
            "nodes": [],
        }
        page = text(serverPage(Part({**SERVER, **NODE, "forwards": [forward, away]}), View(80, NOW)))
        self.assertIn(FORWARDS_PAGE, page)
        nothing = {**SERVER, **NODE, "tunnels": [], "sessions": []}
        self.assertNotIn("no sessions", text(serverPage(Part(nothing), View(80, NOW))))
        found = text(tunnelPage("server", Part({**forward, "list": []}), View(80, NOW)))
        self.assertEqual(found, FORWARD_PAGE)
        tunnel = {**tunnelOf(SERVER), "nodes": ["node1", "node2"]}
        self.assertIn("\n  nodes     node1, node2\n", text(tunnelPage("server", Part(tunnel), View(80, NOW))))

    def test_aServerWithWorkers(self) -> None:
        tunnel, *_ = tunnelsOf(SERVER)
        assert isinstance(tunnel, dict)
        server = {**SERVER, **WORKERS, "tunnels": [{**tunnel, "worker": 7, "generation": 2}]}
        lines = serverPage(Part(server), View(80, NOW))
        self.assertIn(WORKERS_PAGE, text(lines))
        self.assertIn("3.4 GB       7", text(lines))
        marked = [line.text for line in lines if line.mark == WARNING]
        self.assertTrue(any("does not" in line for line in marked))
        self.assertFalse(any("starting" in line for line in marked))
        self.assertNotIn("GENERATION", text(serverPage(Part(server), View(120, NOW, "alice"))))
        self.assertIn("worker    7", text(tunnelPage("server", Part({**tunnel, "worker": 7}), View(80, NOW))))

    def test_aClient(self) -> None:
        self.assertEqual(text(clientPage(Part(CLIENT), View(80, NOW))), CLIENT_PAGE)

    def test_aTunnelAndItsVisitors(self) -> None:
        page = tunnelPage("server", Part(tunnelOf(SERVER)), View(80, NOW))
        self.assertEqual(text(page), TUNNEL_PAGE)
        self.assertIn("no visitors", text(tunnelPage("client", Part({**tunnelOf(CLIENT), "list": []}), View(80, NOW))))

    def test_aUser(self) -> None:
        tunnels = [*tunnelsOf(SERVER), {"address": 20005, "user": "bob", "state": "up"}]
        server = {**SERVER, "tunnels": tunnels}
        page = text(serverPage(Part(server), View(80, NOW, "bob")))
        self.assertIn("20005", page)
        for absent in ("20000", "alice", "listens"):
            self.assertNotIn(absent, page)

    def test_whatNeedsALookIsMarked(self) -> None:
        lines = pages((SERVER, CLIENT, {}), 80)
        marked = [line.text for line in lines if line.mark == WARNING]
        for words in (
            "! limit reached: tunnels",
            "! limit nearly reached: visitors",
            "unix:/run/",
            "spare.",
            "web ",
        ):
            self.assertEqual(sum(line.startswith(words) for line in marked), 1, words)
        self.assertFalse([line for line in marked if "tunnel.example.com:7835" in line])

    def test_nothingIsWiderThanTheTerminal(self) -> None:
        for width in (40, 60, 80, 200):
            for line in pages((SERVER, CLIENT, tunnelOf(SERVER)), width):
                self.assertLessEqual(shownWidth(line.text), width, line.text)

    def test_aProgramOfAnotherVersionIsShownAsFarAsItIsUnderstood(self) -> None:
        newer = {**SERVER, "weather": {"sky": "blue"}, "tunnels": [{"address": 20000, "state": "dreaming", "x": [1]}]}
        page = text(serverPage(Part(newer), View(80, NOW)))
        self.assertIn("dreaming", page)
        answers: list[object] = [{}, [], None, "text", {"tunnels": {}}, {"tunnels": [None, 1]}]
        for answer in answers:
            self.assertIsInstance(pages([answer] * 3, 80), list)

    def test_hostileTextsAreEscaped(self) -> None:
        evil = "\x1b]0;owned\x07\u202egnp.exe\n\r\x9b2J\u2028"
        hostile = json.loads(json.dumps([SERVER, CLIENT, tunnelOf(SERVER)]).replace('"alice"', json.dumps(evil)))
        for width in (40, 80):
            for line in pages(hostile, width):
                self.assertTrue(line.text.isprintable(), ascii(line.text))
        self.assertIn("\\x1b]0;", text(pages(hostile, 80)))

    @UNHURRIED
    @given(
        st.integers(1, 200),
        st.sampled_from(["", "x" * 5000, "\x1b[2J", -1, 1e308, float("nan"), 1 << 80, True, None, [], [[]], {}, [{}]]),
        st.sampled_from([40, 80]),
    )
    def test_anyAnswerIsShown(self, place: int, value: object, width: int) -> None:
        parts = [changed(each, value, [place]) for each in (SERVER, CLIENT, tunnelOf(SERVER))]
        for line in pages(parts, width):
            self.assertTrue(line.text.isprintable(), ascii(line.text))
            self.assertLessEqual(shownWidth(line.text), width)


def tunnelsOf(answer: dict[str, object]) -> list[object]:
    tunnels = answer["tunnels"]
    assert isinstance(tunnels, list)
    return tunnels
