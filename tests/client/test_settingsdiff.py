"""What a change of settings costs."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from bore.client.settings import ClientSettings, ServerAddress
from bore.client.settingsdiff import EFFECTS, FIXED, Effect, effectOf
from bore.tls.certificates import makeSelfSigned
from bore.tls.settings import ClientTls
from bore.wire.secret import Secret


class EffectTests(SynchronousTestCase):
    """What a change costs."""

    def test_eachSettingHasAnEffectOrIsFixed(self) -> None:
        self.assertEqual({each.name for each in fields(ClientSettings)}, EFFECTS.keys() | FIXED)

    def test_theGreatestOneCounts(self) -> None:
        old = ClientSettings((ServerAddress("a"),), lanes=1)
        for changes, effect in (
            ({}, Effect.NOTHING),
            ({"lanes": 2}, Effect.IN_PLACE),
            ({"lanes": 2, "servers": (ServerAddress("b"),)}, Effect.OTHER_SERVERS),
            ({"lanes": 2, "secret": Secret("new")}, Effect.NEW_LINKS),
            ({"tls": ClientTls()}, Effect.NEW_LINKS),
            ({"descriptors": 7}, Effect.NOTHING),
        ):
            self.assertEqual(effectOf(old, replace(old, **cast(Any, changes))), effect, changes)

    def test_certificatesAreComparedByTheirContent(self) -> None:
        first, other = (makeSelfSigned("x")[1] for _ in range(2))
        again = first._replace(key=other.key)
        old = ClientSettings((ServerAddress("a"),), tls=ClientTls(credentials=first))
        for credentials, effect in ((again, Effect.NOTHING), (other, Effect.NEW_LINKS)):
            new = replace(old, tls=ClientTls(credentials=credentials))
            self.assertEqual(effectOf(old, new), effect)

    def test_everyFieldOfTlsCounts(self) -> None:
        certificate = makeSelfSigned("x")[1]
        changed: dict[str, object] = {
            "authorities": certificate.chain,
            "fingerprint": "SHA256:...",
            "credentials": certificate,
            "knownServers": Path("x"),
            "pins": ("SHA256:...",),
            "lasting": False,
        }
        self.assertEqual(set(changed), {each.name for each in fields(ClientTls)})
        old = ClientSettings((ServerAddress("a"),), tls=ClientTls())
        for name, value in changed.items():
            new = replace(old, tls=replace(ClientTls(), **cast(Any, {name: value})))
            self.assertEqual(effectOf(old, new), Effect.NEW_LINKS, name)
