"""Which public port to ask for."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.client.publicport import INSIST, PublicPort, publicText
from bore.client.state import NoMemory, Remembered
from bore.wire.errors import (
    BindFailed,
    NoFreePort,
    PortForbidden,
    PortInUse,
    PortNotAllowed,
    Refusal,
    ShuttingDown,
    TakenOver,
)
from bore.wire.publicaddress import UnixPath

TOKEN = "0123456789abcdef0123456789abcdef"


class FakeMemory:
    """Remembers in the open."""

    def __init__(self, tunnel: Remembered | None = None) -> None:
        self.tunnel = tunnel

    def load(self) -> Remembered | None:
        return self.tunnel

    def save(self, tunnel: Remembered, lasting: bool = True) -> None:
        self.tunnel = tunnel
        self.lasting = lasting

    def forget(self) -> None:
        self.tunnel = None

    def close(self) -> None: ...


class MemoryTests(SynchronousTestCase):
    """What is remembered is asked for."""

    def test_theRememberedPortAndTokenAreAskedForInTheNextRun(self) -> None:
        memory = FakeMemory()
        port = PublicPort(Clock(), 0, memory)
        port.recall()
        self.assertEqual((port.wanted, port.resume), (0, None))
        port.opened(20001, TOKEN)
        again = PublicPort(Clock(), 0, memory)
        again.recall()
        self.assertEqual((again.wanted, again.resume), (20001, TOKEN))

    def test_aPortThatTheUserWantsForAnotherTunnelIsNotAskedFor(self) -> None:
        reserved: set[int] = set()
        port = PublicPort(Clock(), 0, FakeMemory(Remembered(20001, TOKEN)), reserved)
        port.recall()
        reserved.add(20001)
        self.assertEqual((port.wanted, port.resume), (0, TOKEN))
        port.asked = 20001
        self.assertEqual(port.wanted, 20001)
        port.asked = 0
        reserved.clear()
        self.assertEqual(port.wanted, 20001)

    def test_whatCouldNotBeReadAtFirstIsReadLater(self) -> None:
        memory = FakeMemory()
        port = PublicPort(Clock(), 0, memory)
        port.recall()
        memory.tunnel = Remembered(20001, TOKEN)
        port.recall()
        self.assertEqual((port.wanted, port.resume), (20001, TOKEN))

    def test_whatThereWasSinceIsNotReadAgain(self) -> None:
        memory = FakeMemory()
        port = PublicPort(Clock(), 0, memory)
        port.recall()
        port.opened(20001, TOKEN)
        memory.tunnel = Remembered(20002, None)
        port.recall()
        self.assertEqual((port.wanted, port.resume), (20001, TOKEN))

    def test_theTokenGoesAlongWithAnotherPortSoThatTheOldOneIsNotKept(self) -> None:
        for asked in (20001, 20002):
            port = PublicPort(Clock(), asked, FakeMemory(Remembered(20001, TOKEN)))
            port.recall()
            self.assertEqual((port.wanted, port.resume), (asked, TOKEN))

    def test_whatWasRememberedIsGivenUpWhenItCannotBeHad(self) -> None:
        port = PublicPort(Clock(), 0, FakeMemory(Remembered(20001, TOKEN)))
        port.recall()
        self.assertTrue(port.refused(PortNotAllowed()))
        port.recall()
        self.assertEqual((port.wanted, port.resume), (0, None))

    def test_whoWasTakenOverHasNoTokenAnyMore(self) -> None:
        port = PublicPort(Clock(), 8000, NoMemory())
        port.opened(8000, TOKEN)
        self.assertFalse(port.refused(TakenOver()))
        self.assertEqual((port.wanted, port.resume), (8000, None))


class PublicPortTests(SynchronousTestCase):
    """The tunnel comes back where it was, if it can."""

    def setUp(self) -> None:
        self.clock = Clock()

    def test_aPortThatTheUserWantsIsAskedForAlways(self) -> None:
        port = PublicPort(self.clock, 8000, NoMemory())
        for refusal in (PortInUse(), PortNotAllowed(), PortForbidden(), BindFailed(), NoFreePort(), Refusal("?")):
            self.assertFalse(port.refused(refusal))
            self.clock.advance(INSIST)
            self.assertEqual(port.wanted, 8000)

    def test_aRandomPortIsAskedForAgain(self) -> None:
        port = PublicPort(self.clock, 0, NoMemory())
        self.assertEqual(port.wanted, 0)
        port.opened(20001, None)
        self.assertEqual(port.wanted, 20001)

    def test_aRandomPortThatIsInUseIsInsistedOnForAWhile(self) -> None:
        port = PublicPort(self.clock, 0, NoMemory())
        port.opened(20001, None)
        self.assertFalse(port.refused(PortInUse()))
        self.clock.advance(INSIST - 1)
        self.assertFalse(port.refused(PortInUse()))
        self.assertEqual(port.wanted, 20001)
        self.clock.advance(1)
        self.assertTrue(port.refused(PortInUse()))
        self.assertEqual(port.wanted, 0)

    def test_eachTimeOfNeedIsCountedFromItsOwnBegin(self) -> None:
        port = PublicPort(self.clock, 0, NoMemory())
        port.opened(20001, None)
        port.refused(PortInUse())
        self.clock.advance(5)
        port.opened(20001, None)
        self.clock.advance(1000)
        self.assertFalse(port.refused(PortInUse()))

    def test_aRandomPortThatCannotBeHadIsGivenUpAtOnce(self) -> None:
        for refusal in (PortNotAllowed(), PortForbidden(), BindFailed()):
            port = PublicPort(self.clock, 0, NoMemory())
            port.opened(20001, None)
            self.assertTrue(port.refused(refusal))
            self.assertEqual(port.wanted, 0)

    def test_aRefusalThatIsNotAboutThePortChangesNothing(self) -> None:
        port = PublicPort(self.clock, 0, NoMemory())
        port.opened(20001, None)
        for refusal in (ShuttingDown(), NoFreePort(), Refusal("server is full")):
            self.assertFalse(port.refused(refusal))
        self.assertEqual(port.wanted, 20001)

    def test_withoutAPortThereIsNothingToGiveUp(self) -> None:
        self.assertFalse(PublicPort(self.clock, 0, NoMemory()).refused(PortInUse()))

    def test_aServerThatCouldNotBeAskedStartsTheTimeAnew(self) -> None:
        port = PublicPort(self.clock, 0, NoMemory())
        port.opened(20001, None)
        port.refused(PortInUse())
        port.interrupted()
        self.clock.advance(INSIST)
        self.assertFalse(port.refused(PortInUse()))


class OtherKindTests(SynchronousTestCase):
    """A tunnel that is moved between a port and another kind of address."""

    def setUp(self) -> None:
        self.clock = Clock()

    def test_anAddressOfAnotherKindIsNotAPortToComeBackTo(self) -> None:
        port = PublicPort(self.clock, 0, FakeMemory(Remembered(UnixPath("/run/a.sock"), TOKEN)))
        port.recall()
        self.assertEqual((port.wanted, port.token), (0, TOKEN))  # the token frees the other address
        self.assertFalse(port.refused(PortNotAllowed()), "it has no port that it could give up")

    def test_itIsAlwaysRequestedWhereTheUserWantsIt(self) -> None:
        port = PublicPort(self.clock, UnixPath("/run/a.sock"), FakeMemory(Remembered(20001, TOKEN)))
        port.recall()
        self.assertEqual((port.wanted, port.token), (UnixPath("/run/a.sock"), TOKEN))
        self.assertFalse(port.refused(PortInUse()))

    def test_peopleReadWhereItIs(self) -> None:
        self.assertEqual(publicText("::1", 80), "[::1]:80")
        self.assertEqual(publicText("example.com", UnixPath("/run/a.sock")), "unix:/run/a.sock on example.com")
