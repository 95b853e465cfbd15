"""Settings files follow one another under traffic: the last one counts, and what has not changed notices nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.interfaces import IReactorFromThreads, ITCPTransport
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThread

from bore.client import succession
from bore.client.service import ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnelspec import TunnelSpec
from bore.events.client import TunnelUp
from bore.streams.reactor import IReactor
from bore.wire.addressrules import NO_RULES, AddressRules, parseNetwork
from bore.wire.proxyprotocol import Version
from bore.wire.publicaddress import PublicAddress
from tests.ports import freePort
from tests.support import PATIENCE, temporaryFolder
from tests.test_settingsreload import NEW, OLD, WRONG, BothSecrets
from tests.tunnelscase import TunnelsCase, Visit

#: ``make stress`` sets this: many examples instead of a few.
STRESS: Final = bool(os.environ.get("BORE_STRESS"))

EXAMPLES: Final = 3000 if STRESS else 150

#: The names that tunnels may have; the first one is in each list, and never changes.
NAMES: Final = ("kept", "a", "b", "c")

#: How many fixed public ports there are, which tunnels take from one another.
PORTS: Final = 2

RULES: Final = (
    NO_RULES,
    AddressRules((parseNetwork("127.0.0.0/8"),)),
    AddressRules((), (parseNetwork("0.0.0.0/0"),)),
)


class Wanted(NamedTuple):
    """
    A tunnel of a list.

    :ivar service: the number of its local service.
    :ivar port: the number of its public port; 0: any.
    :ivar rules: the number of its rules on addresses.
    :ivar header: whether the local service gets a header.
    """

    service: int
    port: int
    rules: int
    header: bool


class Keys(NamedTuple):
    """
    The keys at the top of a file.

    :ivar server: the number of the server.
    :ivar secret: the number of the secret; the servers know the first two.
    """

    server: int = 0
    secret: int = 0
    lanes: int = 4
    checkEvery: float = 0.0
    saves: bool = True


class Reload(NamedTuple):
    """
    A list of tunnels, by name, and other keys.

    :ivar pause: how long traffic goes on before the next one, in milliseconds.
    """

    wanted: dict[str, Wanted]
    keys: Keys
    pause: int


KEPT: Final = Wanted(0, 0, 0, False)

WANTED: Final = st.builds(
    Wanted, st.integers(0, 1), st.integers(0, PORTS), st.sampled_from([0, 0, 1, 2]), st.sampled_from([False, True])
)


def _withKept(wanted: dict[str, Wanted], place: int) -> dict[str, Wanted]:
    items = list(wanted.items())
    return dict([*items[:place], ("kept", KEPT), *items[place:]])


def _eachPortOnce(wanted: dict[str, Wanted]) -> bool:
    fixed = [each.port for each in wanted.values() if each.port]
    return len(fixed) == len(set(fixed))


LISTS: Final = st.builds(
    _withKept,
    st.dictionaries(st.sampled_from(NAMES[1:]), WANTED).filter(_eachPortOnce),
    st.integers(0, 3),
)
#: Most files change nothing that a server has to accept.
KEYS: Final = st.one_of(
    st.builds(Keys, st.just(0), st.just(0), st.sampled_from([0, 1, 4]), st.sampled_from([0.0, 0.2]), st.booleans()),
    st.builds(Keys, st.integers(0, 1), st.integers(0, 2), st.sampled_from([0, 4]), st.just(0.0), st.just(True)),
)


def _isAccepted(reloads: Sequence[Reload]) -> bool:
    return all(each.keys.secret < 2 for each in (reloads[0], reloads[-1]))


RELOADS: Final = st.lists(
    st.builds(Reload, LISTS, KEYS, st.sampled_from([0, 0, 1, 5, 30])), min_size=2, max_size=4
).filter(_isAccepted)


@dataclass
class Stream:
    """A visitor that stays, and has everything echoed that it sends."""

    visit: Visit
    sent: int = 0

    async def goOn(self) -> None:
        """Send and receive once more."""
        data = b"%08d" % self.sent
        self.sent += 1
        received = await self.visit.ask(data)
        assert received == data, f"{received!r} for {data!r}"


@pytest.mark.timeout(1000 if STRESS else 90)
class ReloadTests(TunnelsCase):
    """Any lists, in any order, at any time."""

    timeout = 900 if STRESS else 75  # of trial, in seconds

    async def test_theLastOneCountsAndUnchangedTunnelsNoticeNothing(self) -> None:
        self._visits: list[Visit] = []
        self.patch(succession, "TRY_AGAIN", 0.1)
        self._servers = [self.server(BothSecrets(), maxPort=31999, minPort=12000) for _ in range(2)]
        self._fixed = [freePort(self.host) for _ in range(PORTS)]
        self._targets = [await self.service(b"%d" % number) for number in range(2)]

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(RELOADS)
        def examples(reloads: list[Reload]) -> None:
            blockingCallFromThread(cast(IReactorFromThreads, reactor), self._begin, reloads)  # type: ignore[arg-type]

        await deferToThread(examples)

    def _begin(self, reloads: Sequence[Reload]) -> Deferred[object]:
        return ensureDeferred(self._example(reloads)).addTimeout(PATIENCE, cast(IReactor, reactor))

    async def _example(self, reloads: Sequence[Reload]) -> None:
        """Load one list after the other under traffic, and compare with what the last one asks for."""
        self.events.clear()
        self.folder = temporaryFolder(self)
        client = self.client(self._servers[0].controlPort, self._specs(reloads[0].wanted), maxReconnectDelay=0.3)
        client.applySettings(self._settings(client, reloads[0].keys))
        client.startService()
        try:
            await self._follow(client, reloads)
        finally:
            for visit in self._visits:
                cast(ITCPTransport, visit.transport).abortConnection()
            self._visits.clear()
            await client.stopService()
        await self._free(set(self._ups()))

    async def _follow(self, client: ClientService, reloads: Sequence[Reload]) -> None:
        streams = await self._streams(client, reloads[0].wanted)
        stop: list[bool] = []
        unchanged = [name for name in NAMES if len({each.wanted.get(name) for each in reloads}) == 1]
        if len({each.keys.server for each in reloads}) > 1:
            unchanged = []  # all move to another server
        unchanged = [name for name in unchanged if reloads[0].wanted.get(name) and not self._isDenied(reloads[0], name)]
        traffic = [ensureDeferred(self._goOn(stream, stop)) for stream in streams]
        traffic += [ensureDeferred(self._come(client, name, reloads[0].wanted[name], stop)) for name in unchanged]
        ups = {name: await client.whenOpened(name) for name in unchanged}
        try:
            for each in reloads[1:]:
                client.apply(self._specs(each.wanted))
                client.applySettings(self._settings(client, each.keys))
                await deferLater(cast(IReactor, reactor), each.pause / 1000)
            last = self._settings(client, reloads[-1].keys)
            await self.eventually(lambda: client.settings == last)
            await self._check(client, reloads[-1].wanted)
        finally:
            stop.append(True)
            whole = await DeferredList(traffic, consumeErrors=True)
        for succeeded, failure in whole:
            self.assertTrue(succeeded, failure)
        if len({each.keys[:2] for each in reloads}) == 1:
            for name, port in ups.items():
                self.assertEqual((name, self._ups().count(port)), (name, 1))

    async def _check(self, client: ClientService, wanted: dict[str, Wanted]) -> None:
        """All is as if these had been the client's tunnels from its start."""
        self.assertEqual(list(client.tunnels), self._specs(wanted))
        ports = {name: await client.whenOpened(name) for name in wanted}
        for name, each in wanted.items():
            if each.port:
                self.assertEqual(ports[name], self._fixed[each.port - 1], name)
            await self._visitOnce(ports[name], each)
        await self._free(set(self._ups()) - set(ports.values()))

    async def _streams(self, client: ClientService, wanted: dict[str, Wanted]) -> list[Stream]:
        """A visitor that stays, for each tunnel that lets it in."""
        made = []
        for name, each in wanted.items():
            port = await client.whenOpened(name)
            visit = await self._visitOnce(port, each)
            if visit is not None:
                made.append(Stream(visit))
        return made

    async def _goOn(self, stream: Stream, stop: list[bool]) -> None:
        while not stop:
            await stream.goOn()
            await deferLater(cast(IReactor, reactor), 0.001)

    async def _come(self, client: ClientService, name: str, wanted: Wanted, stop: list[bool]) -> None:
        """Have visitors come to a tunnel that does not change, one after another."""
        port = await client.whenOpened(name)
        while not stop:
            visit = await self._visitOnce(port, wanted)
            assert visit is not None and visit.transport is not None
            visit.transport.loseConnection()

    async def _visitOnce(self, port: PublicAddress, wanted: Wanted) -> Visit | None:
        """Have a visitor come, and compare what it gets with what is wanted; None if it is not let in."""
        visit = await self.visit(port)
        self._visits.append(visit)
        if wanted.rules == 2:
            self.assertEqual(await visit.take(1), b"")
            return None
        name = b"%d\n" % wanted.service
        self.assertEqual(await visit.take(len(name)), name)
        if wanted.header:
            self.assertEqual(await visit.take(11), b"PROXY TCP4 ")
            while (await visit.take(1)) != b"\n":
                pass
        return visit

    async def _free(self, ports: set[PublicAddress]) -> None:
        await self.eventually(lambda: all(map(self.isFree, ports)))

    def _ups(self) -> list[PublicAddress]:
        """The public ports of tunnels that have come up, in their order."""
        return [int(event.public.rpartition(":")[2]) for event in self.events if isinstance(event, TunnelUp)]

    def _isDenied(self, reload: Reload, name: str) -> bool:
        return reload.wanted[name].rules == 2

    def _settings(self, client: ClientService, keys: Keys) -> ClientSettings:
        return replace(
            client.settings,
            servers=(ServerAddress(self.host, self._servers[keys.server].controlPort),),
            secret=(OLD, NEW, WRONG)[keys.secret],
            lanes=keys.lanes,
            checkEvery=keys.checkEvery,
            stateFolder=self.folder if keys.saves else None,
        )

    def _specs(self, wanted: dict[str, Wanted]) -> list[TunnelSpec]:
        return [
            TunnelSpec(
                self._targets[each.service],
                self._fixed[each.port - 1] if each.port else 0,
                Version.V1 if each.header else None,
                name=name,
                rules=RULES[each.rules],
            )
            for name, each in wanted.items()
        ]
