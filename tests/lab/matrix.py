"""All rows, in the order of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.lab.attacks import RandomBytes, SilentConnections
from tests.lab.burdens import BadService, NoDescriptors, SlowReader
from tests.lab.crowds import Churn, Multitude
from tests.lab.deaths import KilledClient, LongStopped, MovedName, RestartedServer, Stampede, Stopped
from tests.lab.fault import Fault
from tests.lab.floods import AliveFlood, ConnectionFlood, FrameFlood, HeartbeatFlood, KeyFlood, SessionFlood
from tests.lab.lanes import ForgottenLane, ForgottenLanes, LongAnswer, NewVisitor
from tests.lab.rush import Burst, BurstWithoutLanes
from tests.lab.silences import BadLink, HalfSilence, LongSilence, Move, OtherHalfSilence, Silence, SlowLink

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
    SlowReader(),
    NoDescriptors(),
    BadService(),
    SilentConnections(),
    RandomBytes(),
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
)
