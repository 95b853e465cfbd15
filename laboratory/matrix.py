"""All rows, in the order of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from laboratory.attacks import RandomBytes, RandomBytesToWorkers, SilentConnections
from laboratory.burdens import BadService, NoDescriptors, SlowReader
from laboratory.cluster import (
    BrieflyWithoutEngine,
    ClientsApart,
    EmptyEngine,
    FailedOver,
    KilledNode,
    MovedClient,
    NodesApart,
    RestartedBalancer,
    RollingUpgrade,
    StoppedNode,
    WithoutEngine,
)
from laboratory.crowds import Churn, Multitude
from laboratory.deaths import KilledClient, LongStopped, MovedName, RestartedServer, Stampede, Stopped
from laboratory.fault import Fault
from laboratory.floods import AliveFlood, ConnectionFlood, FrameFlood, HeartbeatFlood, KeyFlood, SessionFlood
from laboratory.lanes import ForgottenLane, ForgottenLanes, LongAnswer, NewVisitor
from laboratory.rivals import Rivals
from laboratory.rush import Burst, BurstWithoutLanes
from laboratory.silences import BadLink, HalfSilence, LongSilence, Move, OtherHalfSilence, Silence, SlowLink
from laboratory.tunnels import DeadService, LostTunnels, ReloadUnderLoad, StolenPort
from laboratory.upgrades import BrokenUpgrades, ClientUpgrades, TakeOvers, Upgrades
from laboratory.workers import KilledSupervisor, KilledWorker, StoppedWorker

MATRIX: Final[Sequence[Fault]] = (
    Silence(),
    HalfSilence(),
    OtherHalfSilence(),
    LongSilence(),
    Move(),
    BadLink(),
    SlowLink(),
    NewVisitor(),
    LongAnswer(),
    ForgottenLanes(),
    ForgottenLane(),
    KilledClient(),
    RestartedServer(),
    Stampede(),
    Stopped(),
    LongStopped(),
    MovedName(),
    Upgrades(),
    BrokenUpgrades(),
    KilledWorker(),
    StoppedWorker(),
    KilledSupervisor(),
    TakeOvers(),
    ClientUpgrades(),
    SlowReader(),
    NoDescriptors(),
    BadService(),
    SilentConnections(),
    RandomBytes(),
    RandomBytesToWorkers(),
    ConnectionFlood(),
    SessionFlood(),
    AliveFlood(),
    FrameFlood(),
    KeyFlood(),
    HeartbeatFlood(),
    Burst(),
    BurstWithoutLanes(),
    Multitude(),
    Churn(),
    ReloadUnderLoad(),
    LostTunnels(),
    StolenPort(),
    DeadService(),
    KilledNode(),
    BrieflyWithoutEngine(),
    WithoutEngine(),
    NodesApart(),
    ClientsApart(),
    EmptyEngine(),
    FailedOver(),
    RestartedBalancer(),
    RollingUpgrade(),
    MovedClient(),
    StoppedNode(),
    Rivals(),
)
