"""
The short form of the matrix: ours with ours, with small numbers; and what TLS changes, inside TLS.

Each class runs in a process of its own, and they take about as long as one another.
"""

from __future__ import annotations

from typing import Final

import pytest
from twisted.trial.unittest import SynchronousTestCase

from laboratory.attacks import RandomBytes, RandomBytesToWorkers, SilentConnections
from laboratory.burdens import BadService, NoDescriptors, SlowReader
from laboratory.crowds import Churn, Multitude
from laboratory.deaths import KilledClient, LongStopped, MovedName, RestartedServer, Stampede, Stopped
from laboratory.fault import Fault
from laboratory.floods import AliveFlood, ConnectionFlood, FrameFlood, HeartbeatFlood, KeyFlood, SessionFlood
from laboratory.lanes import ForgottenLane, ForgottenLanes, LongAnswer, NewVisitor
from laboratory.pairings import FROM_ORIGINAL, OURS, OURS_TLS, Pairing
from laboratory.rush import Burst, BurstWithoutLanes
from laboratory.silences import BadLink, HalfSilence, LongSilence, Move, OtherHalfSilence, Silence
from laboratory.tunnels import DeadService, ReloadUnderLoad, StolenPort
from tests.laboratory.slack import Slack
from tests.support import slowness

#: Visitors of a burst on an idle machine; all have to be served within 10 s.
VISITORS: Final = 2500

#: Of fewer visitors, more than a quarter may overtake one on a busy machine.
_LEAST: Final = 1000


def burst() -> int:
    """As many visitors as this machine can serve, as busy as it is now."""
    return max(_LEAST, round(VISITORS / slowness()))


@pytest.mark.timeout(240)
class FaultCase(SynchronousTestCase):
    """Checks that a promise is kept."""

    def keeps(self, fault: Fault, pairing: Pairing = OURS) -> None:
        with Slack() as slack:
            outcome = fault.measure(pairing, slack)
        said = "\n".join([fault.say(fault.promise), *(text for text, _ in outcome.findings), outcome.transcript])
        self.assertEqual(outcome.broken, [], said)


class SilenceTests(FaultCase):
    """Nothing gets through for a while."""

    def test_aSilentNetworkCostsNobodyAnything(self) -> None:
        self.keeps(Silence())

    def test_aTunnelLivesOnABadLink(self) -> None:
        self.keeps(BadLink(seconds=15))


class OneWaySilenceTests(FaultCase):
    """Nothing gets through one way."""

    def test_aClientThatIsNotHeardCostsNobodyAnything(self) -> None:
        self.keeps(HalfSilence())

    def test_aClientThatHearsNothingCostsNobodyAnything(self) -> None:
        self.keeps(OtherHalfSilence())


class LongSilenceTests(FaultCase):
    """The lease runs out."""

    def test_aClientHasItsPortBackAfterItsLease(self) -> None:
        self.keeps(LongSilence(seconds=40, lease=5, delay=4))


class LaneTests(FaultCase):
    """What lanes are worth, and what dead ones cost."""

    def test_aNewVisitorIsAnsweredWithinARoundTrip(self) -> None:
        self.keeps(NewVisitor(visitors=15))

    def test_aLongAnswerComesInAnOpenWindow(self) -> None:
        self.keeps(LongAnswer(visitors=12, delay=0.05))

    def test_lanesThatANatForgetsCostLittle(self) -> None:
        self.keeps(ForgottenLanes(seconds=5))

    def test_aLaneThatANatForgetsCostsOnlyItsVisitorSomething(self) -> None:
        self.keeps(ForgottenLane(seconds=3))


class PlaceTests(FaultCase):
    """A server or a client at another address, and local trouble."""

    def test_aNewAddressTakesTheSessionOver(self) -> None:
        self.keeps(Move())

    def test_theNextAttemptGoesWhereTheNamePoints(self) -> None:
        self.keeps(MovedName())

    def test_aBadServiceIsToldToTheVisitorAndLeavesTheTunnel(self) -> None:
        self.keeps(BadService(pause=2))

    def test_aLackOfDescriptorsPasses(self) -> None:
        self.keeps(NoDescriptors(seconds=3))


class EndTests(FaultCase):
    """Processes end, or stop for a while."""

    def test_aKilledClientHasItsPortBack(self) -> None:
        self.keeps(KilledClient())

    def test_aRestartedServerHasAllItsTunnelsBack(self) -> None:
        self.keeps(RestartedServer(clients=3))

    def test_manyClientsComeBackWithoutAStampede(self) -> None:
        self.keeps(Stampede(clients=150))

    def test_aShortStopCostsNobodyAnything(self) -> None:
        self.keeps(Stopped())


class LongStopTests(FaultCase):
    """Processes stop for so long that they are taken for dead."""

    def test_aLongStopIsAVanishedPeer(self) -> None:
        self.keeps(LongStopped(seconds=15))


class SilenceInsideTlsTests(FaultCase):
    """The same, inside TLS."""

    def test_aSilentNetworkCostsNobodyAnything(self) -> None:
        self.keeps(Silence(), OURS_TLS)

    def test_aKilledClientHasItsPortBack(self) -> None:
        self.keeps(KilledClient(), OURS_TLS)


class EndInsideTlsTests(FaultCase):
    """The same, inside TLS."""

    def test_aRestartedServerHasAllItsTunnelsBack(self) -> None:
        self.keeps(RestartedServer(clients=3), OURS_TLS)

    def test_aLackOfDescriptorsPasses(self) -> None:
        self.keeps(NoDescriptors(seconds=3), OURS_TLS)

    def test_nonsenseInsideTlsLeavesNothingBehind(self) -> None:
        self.keeps(RandomBytes(connections=2000), OURS_TLS)


class AttackTests(FaultCase):
    """Attacks."""

    def test_silentConnectionsKeepNobodyOut(self) -> None:
        self.keeps(SilentConnections(seconds=8))

    def test_nonsenseLeavesNothingBehind(self) -> None:
        self.keeps(RandomBytes(connections=3000))

    def test_nonsenseToWorkersLeavesNothingBehind(self) -> None:
        self.keeps(RandomBytesToWorkers(connections=2000))


class FloodTests(FaultCase):
    """Floods, of strangers and of clients that know the secret."""

    def test_aFloodOfConnectionsKeepsNobodyOut(self) -> None:
        self.keeps(ConnectionFlood(seconds=2))

    def test_sessionsThatComeAndGoCostOthersNothing(self) -> None:
        self.keeps(SessionFlood(seconds=2))

    def test_smallFramesOnLanesCostOthersNothing(self) -> None:
        self.keeps(FrameFlood(seconds=2))


class KeyTests(FaultCase):
    """Work for TLS without end."""

    def test_newKeysWithoutEndCostOthersNothing(self) -> None:
        self.keeps(KeyFlood(seconds=2), OURS_TLS)


class EndlessTests(FaultCase):
    """The same message without end, and bursts."""

    def test_aliveWithoutEndCostsOthersNothing(self) -> None:
        self.keeps(AliveFlood(seconds=2))

    def test_heartbeatsWithoutEndCostAClientNoMemory(self) -> None:
        self.keeps(HeartbeatFlood(seconds=4))

    def test_aBurstIsServedInOrder(self) -> None:
        self.keeps(Burst(visitors=burst()))

    def test_aBurstIsServedInOrderInsideTls(self) -> None:
        self.keeps(Burst(visitors=burst()), OURS_TLS)

    def test_aBurstIsServedInOrderWithoutLanes(self) -> None:
        self.keeps(BurstWithoutLanes(visitors=burst()))

    def test_aBurstIsServedByAnOriginalClient(self) -> None:
        self.keeps(Burst(visitors=burst()), FROM_ORIGINAL)


class TunnelsTests(FaultCase):
    """One client with many tunnels."""

    def test_reloadsCostUnchangedTunnelsNothing(self) -> None:
        self.keeps(ReloadUnderLoad(tunnels=10, reloads=10))

    def test_aStolenPortHoldsNoOtherTunnelUp(self) -> None:
        self.keeps(StolenPort(tunnels=20))

    def test_aDeadServiceHoldsNoOtherTunnelUp(self) -> None:
        self.keeps(DeadService(tunnels=20))


class CrowdTests(FaultCase):
    """Many of them."""

    def test_manyVisitorsOfManyTunnelsSurviveCuts(self) -> None:
        self.keeps(Multitude(tunnels=50, visitors=500, cuts=3, fresh=50))

    def test_idleLanesCostNobodyADescriptor(self) -> None:
        self.keeps(Multitude(tunnels=100, cuts=3, fresh=10, descriptors=2000))

    def test_visitorsAndReconnectsLeaveNothingBehind(self) -> None:
        self.keeps(Churn(visitors=1000, reconnects=8, clients=4))

    def test_aSlowReaderCostsOthersNothing(self) -> None:
        self.keeps(SlowReader(seconds=8))
