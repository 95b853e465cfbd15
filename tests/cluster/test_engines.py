"""Which engine a URL names."""

from __future__ import annotations

import subprocess
import sys
from typing import cast

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from bore.cluster.engines import engineAt
from bore.cluster.etcd import EtcdEngine
from bore.cluster.redis import RedisEngine
from bore.cluster.url import parseEngineUrl
from bore.streams.reactor import IReactor
from tests.support import CHECKOUT

#: As if the packages were not installed.
_WITHOUT = """
import sys
sys.modules["treq"] = sys.modules["txredisapi"] = None
from bore.cluster.engines import ExtraMissing, engineAt
from bore.cluster.url import parseEngineUrl
for url in "redis://h", "etcd://h":
    try:
        engineAt(None, parseEngineUrl(url))
    except ExtraMissing as e:
        print(e)
"""


class EngineAtTests(SynchronousTestCase):
    """The scheme names the engine."""

    def test_theSchemeNamesTheEngine(self) -> None:
        for url, kind in (
            ("redis://h", RedisEngine),
            ("rediss+sentinel://h/main", RedisEngine),
            ("etcd://h", EtcdEngine),
        ):
            self.assertIsInstance(engineAt(cast(IReactor, reactor), parseEngineUrl(url)), kind)

    def test_anExtraThatIsMissingIsNamed(self) -> None:
        output = subprocess.run(
            [sys.executable, "-c", _WITHOUT], capture_output=True, text=True, cwd=CHECKOUT, check=True
        )
        self.assertEqual(
            output.stdout.splitlines(),
            [
                "txredisapi is not installed, which redis://h:6379 needs: pip install 'txbore[redis]'",
                "treq is not installed, which etcd://h:2379 needs: pip install 'txbore[etcd]'",
            ],
        )
