"""Rights of users, what they ask for, and rights that change: compared with a model, in any order."""

from __future__ import annotations

from typing import Final, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Sink
from bore.server.control import ControlProtocol
from bore.server.enforcement import Enforcement
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.server.userlist import UserList
from bore.streams.reactor import IReactor
from bore.users.entry import UserEntry, UserKey, Users
from bore.users.ports import Ports, ports
from bore.users.rights import Rights
from bore.wire.binding import BindingChallenge, decodeServerMessage
from bore.wire.extension import Close, Open, Opened, Refused, encode, markedHello
from bore.wire.extension import decodeServerMessage as decodeExtended
from bore.wire.proof import clientProof
from bore.wire.secret import Secret
from tests.fakes import FakeReactor, FakeTransport
from tests.ports import loopbackHost
from tests.server.balance import Balance
from tests.server.case import FakeRelay

#: Few ports and users: they are in each other's way.
LOWEST, HIGHEST = 20000, 20002
ALL: Final = range(LOWEST, HIGHEST + 1)
NAMES: Final = ("alice", "bob", "")
SECRETS: Final = {name: Secret(f"the secret of {name or 'all others'}") for name in NAMES}

#: At the wall clock when the test begins.
NOW: Final = 1_800_000_000.0
LEASE: Final = 60

PORTS: Final = st.sets(st.sampled_from(ALL))
RIGHTS: Final = st.builds(
    lambda mine, limit, ends: Rights(portSet(mine), maxTunnels=limit, expires=NOW + ends if ends else None),
    st.one_of(st.just(set(ALL)), PORTS),
    st.integers(0, 2),
    st.sampled_from([0, 0, 0, 30, 100]),
)
STEPS: Final = st.one_of(
    st.tuples(st.just("open"), st.just("alice"), st.just(0)),
    st.tuples(st.just("open"), st.sampled_from(NAMES), st.sampled_from([0, *ALL])),
    st.tuples(st.just("resume"), st.sampled_from(NAMES), st.integers(0, 9)),
    st.tuples(st.just("close"), st.sampled_from(NAMES), st.integers(0, 9)),
    st.tuples(st.just("lose"), st.sampled_from(NAMES), st.integers(0, 9)),
    st.tuples(st.just("change"), st.sampled_from(NAMES), RIGHTS),
    st.tuples(st.just("limit"), st.just("alice"), st.integers(1, 2)),
    st.tuples(st.just("exclusive"), st.sampled_from(("alice", "bob")), PORTS),
    st.tuples(st.just("remove"), st.sampled_from(("alice", "bob")), st.just(0)),
    st.tuples(st.just("time"), st.just(""), st.sampled_from([1, 20])),
)


def portSet(numbers: set[int]) -> Ports:
    return ports((number, number) for number in numbers)


class World:
    """
    A server, its users and their clients.

    :ivar rights: those of each user that exists: the model.
    :ivar tokens: the resume tokens of each user, with the ports that they were given for.
    """

    def __init__(self, test: SynchronousTestCase, host: str) -> None:
        self.test = test
        self.reactor = FakeReactor()
        reactor = cast(IReactor, self.reactor)
        self.sink = Sink()
        self.balance = Balance()
        self.sink.subscribe(self.balance, visitors=True)
        self.rights: dict[str, Rights] = dict.fromkeys(NAMES, Rights(portSet(set(ALL))))
        self.list = UserList(self.users, [SECRETS[""]], self.wallClock)
        options = ServerSettings(LOWEST, HIGHEST, bindTunnels=host, lease=LEASE)
        self.server = Server(reactor, self.sink, options, FakeRelay(reactor), self.list)
        self.enforcement = Enforcement(self.reactor, self.sink, self.server, self.list, self.wallClock)
        self.enforcement.start()
        self.clients: dict[str, list[tuple[ControlProtocol, FakeTransport]]] = {name: [] for name in NAMES}
        self.tokens: list[tuple[str, int, str]] = []

    def wallClock(self) -> float:
        return NOW + self.reactor.seconds()

    @property
    def users(self) -> Users:
        entries = {
            name: UserEntry(name, (UserKey(SECRETS[name]),), rights) for name, rights in self.rights.items() if name
        }
        return Users(entries, self.rights[""])

    # The model.

    def isIn(self, name: str) -> bool:
        """Whether a user may connect."""
        rights = self.rights.get(name)
        return rights is not None and (rights.expires is None or rights.expires > self.wallClock())

    def mayHave(self, name: str) -> set[int]:
        """The ports that a user may have."""
        rights = self.rights.get(name)
        if rights is None:
            return set()
        return {port for port in ALL if rights.mayUse(port)} - self.exclusiveToOthers(name)

    def exclusiveToOthers(self, name: str) -> set[int]:
        """The ports that are exclusive to other users."""
        others = [rights for each, rights in self.rights.items() if each != name]
        return {port for port in ALL for rights in others if port in rights.exclusive}

    def has(self, name: str | None = None) -> set[int]:
        """The ports that a user has, or that all have."""
        tunnels = self.server.tunnels._byAddress.items()
        return {cast(int, port) for port, tunnel in tunnels if name is None or tunnel.user.name == name}

    def expected(self, name: str, asked: int) -> str | set[int]:
        """The code with which a new tunnel is refused, or the ports of which it gets one."""
        allowed = self.mayHave(name)
        if asked and asked not in allowed:
            return "port-not-allowed"
        limit = self.rights[name].maxTunnels
        if 0 < limit <= len(self.has(name)):
            return "too-many-tunnels-of-user"
        free = (allowed & {asked} if asked else allowed) - self.has()
        if free:
            return free
        return "port-in-use" if asked else "no-free-port"

    # The steps.

    def come(self, name: str) -> tuple[ControlProtocol, FakeTransport]:
        """A new client of a user, inside TLS."""
        protocol = self.server.control.buildProtocol(None, "192.0.2.1:4711", "192.0.2.1", bytes(32))
        transport = FakeTransport()
        protocol.makeConnection(transport)
        challenge = decodeServerMessage(transport.takeWritten()[:-1])
        proof = clientProof(SECRETS[name], bytes(32), name)
        assert isinstance(challenge, BindingChallenge) and proof is not None
        protocol.dataReceived(proof.answer(challenge) + markedHello(0))
        transport.takeWritten()
        self.clients[name].append((protocol, transport))
        return protocol, transport

    def ask(self, name: str, port: int, token: str | None = None) -> Opened | Refused | None:
        """Ask for a tunnel on a new session; None: the user is not let in."""
        protocol, transport = self.come(name)
        if transport.disconnecting:
            return None
        protocol.dataReceived(encode(Open(1, port, token)))
        frames = transport.takeWritten().split(b"\0")[:-1]
        [answer] = [decodeExtended(frame) for frame in frames if b"Heartbeat" not in frame]
        assert isinstance(answer, Opened | Refused)
        if isinstance(answer, Opened):
            assert answer.resume is not None and isinstance(answer.address, int)
            self.tokens.append((name, answer.address, answer.resume))
        return answer

    def step(self, what: str, name: str, value: object) -> None:
        match what, value:
            case "open", int(port):
                self.open(name, port)
            case "resume", int(number) if self.tokens:
                self.resume(name, *self.tokens[-1 - number % len(self.tokens)])
            case (("close" | "lose"), int(number)) if self.clients[name]:
                self.end(what, name, number % len(self.clients[name]))
            case "change", Rights() as rights if name in self.rights:
                before = self.rights[name].exclusive
                self.rights[name] = Rights(rights.ports, before, rights.maxTunnels, expires=rights.expires)
            case "change", Rights() as rights:
                self.rights[name] = rights
            case "limit", int(limit) if name in self.rights:
                rights = self.rights[name]
                self.rights[name] = Rights(rights.ports, rights.exclusive, limit, expires=rights.expires)
            case "exclusive", set() as mine if name in self.rights:
                rights = self.rights[name]
                exclusive = portSet({cast(int, port) for port in mine} - self.exclusiveToOthers(name))
                self.rights[name] = Rights(rights.ports, exclusive, rights.maxTunnels, expires=rights.expires)
            case "remove", _:
                self.rights.pop(name, None)
            case "time", int(seconds):
                self.reactor.pump([0.5] * (2 * seconds))
        if what in ("change", "limit", "exclusive", "remove"):
            self.enforcement.apply(self.users, [SECRETS[""]])
        for each in NAMES:
            for number, (_, transport) in reversed(list(enumerate(self.clients[each]))):
                if transport.disconnecting:
                    self.lose(each, number)

    def open(self, name: str, port: int) -> None:
        expected = self.expected(name, port) if self.isIn(name) else None
        answer = self.ask(name, port)
        if expected is None:
            self.test.assertIsNone(answer)
        elif isinstance(expected, str):
            self.test.assertEqual(cast(Refused, answer).code, expected)
        else:
            self.test.assertIn(cast(Opened, answer).address, expected)

    def resume(self, name: str, owner: str, port: int, token: str) -> None:
        """Show a token, which may be void or another user's: whatever the answer, no other user loses a tunnel."""
        before = {each: self.has(each) for each in NAMES}
        answer = self.ask(name, 0, token)
        for each in NAMES:
            if each != name:
                self.test.assertEqual(self.has(each), before[each])
        if isinstance(answer, Opened) and owner != name:
            self.test.assertNotIn(answer.address, before[owner])

    def end(self, what: str, name: str, number: int) -> None:
        if what == "close":
            protocol, _ = self.clients[name][number]
            if protocol._session is not None and 1 in protocol._session.tunnels:
                protocol.dataReceived(encode(Close(1)))
        else:
            self.lose(name, number)

    def lose(self, name: str, number: int) -> None:
        protocol, transport = self.clients[name].pop(number)
        protocol.connectionLost(Failure(ConnectionDone()))
        transport.socket.close()

    def check(self) -> None:
        """No user has what the model does not give."""
        for name in NAMES:
            has = self.has(name)
            if not self.isIn(name):
                self.test.assertEqual((has, self.clients[name]), (set(), []))
                continue
            self.test.assertLessEqual(has, self.mayHave(name))
            if self.rights[name].maxTunnels:
                self.test.assertLessEqual(len(has), self.rights[name].maxTunnels)


class ModelTests(SynchronousTestCase):
    """A table of rights and actions."""

    @given(st.lists(STEPS, max_size=30))
    def test_nobodyHasMoreThanTheRightsAllowWhateverHappens(self, steps: list[tuple[str, str, object]]) -> None:
        world = World(self, loopbackHost())
        for what, name, value in steps:
            world.step(what, name, value)
            world.check()
        for name in NAMES:
            while world.clients[name]:
                world.lose(name, 0)
        world.enforcement.stop()
        world.server.shutDown()
        world.reactor.pump([0.5] * 20)
        world.balance.assertEnded()
        self.assertEqual((world.reactor.getReaders(), world.reactor.getDelayedCalls()), ([], []))
