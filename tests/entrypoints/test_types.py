"""The types of TOML that each key of a settings file takes."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.config.values import convert
from bore.option import Option
from bore.options import client, server, tunnels, users

WHOLE, FRACTION, SWITCH, DATE, SEVERAL = range(5)

#: Values of the types.
VALUES: Final[dict[int, list[object]]] = {WHOLE: [5], FRACTION: [1.5], SWITCH: [True, False], DATE: [date(2030, 1, 1)]}

#: Values that no key takes.
NEVER: Final[list[object]] = [-1, -1.5, float("nan"), float("inf"), 2**70, "", [], [[]], [True], {"a": 1}, [{"a": 1}]]

#: Each key, the types that it takes beside texts, and a text if it takes texts. A number may be in quotes.
COUNT, SECONDS = ({WHOLE}, "5"), ({WHOLE, FRACTION}, "1.5")
ONLY_SWITCH: Final = ({SWITCH}, None)
FILE: Final = (set[int](), "name")
KEYS: Final[dict[str, tuple[set[int], str | None]]] = {
    "server": ({SEVERAL}, "tls://example.com"),
    "local-host": (set(), "example.com"),
    "control-port": COUNT,
    "proxy-protocol": (set(), "v2"),
    "bandwidth": (set(), "10 MB/s"),
    "no-error-page": ONLY_SWITCH,
    "no-probe": ONLY_SWITCH,
    "allow": ({SEVERAL}, "192.0.2.0/24"),
    "deny": ({SEVERAL}, "192.0.2.7"),
    "no-state": ONLY_SWITCH,
    "no-reconnect": ONLY_SWITCH,
    "max-reconnect-delay": SECONDS,
    "exit-after-failures": COUNT,
    "fail-fast": ONLY_SWITCH,
    "lanes": COUNT,
    "nodes": (set(), "3"),
    "check-every": SECONDS,
    "tls": ONLY_SWITCH,
    "tls-ca": FILE,
    "tls-fingerprint": (set(), "SHA256:" + "A" * 43),
    "tls-cert": FILE,
    "tls-key": FILE,
    "tls-client-ca": FILE,
    "tls-crl": FILE,
    "users": FILE,
    "visitor-log": FILE,
    "workers": COUNT,
    "drain": COUNT,
    "cluster": (set(), "redis://192.0.2.1"),
    "node": (set(), "node1"),
    "advertise": (set(), "tls://node1.example.com"),
    "cluster-key": (set[int](), None),
    "cluster-ttl": (set(), "60"),
    "admin-socket": FILE,
    "no-admin-socket": ONLY_SWITCH,
    "admin-group": (set(), "root"),
    "status-port": COUNT,
    "status-token-file": FILE,
    "no-tunnel-metrics": ONLY_SWITCH,
    "secret-file": (set(), None),
    "max-visitors": COUNT,
    "half-open-timeout": SECONDS,
    "log-level": (set(), "warn"),
    "log-format": (set(), "json"),
    "watch": ONLY_SWITCH,
    "local": COUNT,
    "port": COUNT,
    "min-port": COUNT,
    "max-port": COUNT,
    "bind-addr": (set(), "::1"),
    "bind-tunnels": (set(), "127.0.0.1"),
    "unix-folder": ({SEVERAL}, "/"),
    "trusted-proxies": ({SEVERAL}, "192.0.2.0/24"),
    "lease": COUNT,
    "max-waiting": COUNT,
    "max-lanes": COUNT,
    "visitor-rate": COUNT,
    "max-tunnels": COUNT,
    "max-tunnels-per-source": COUNT,
    "max-pending": COUNT,
    "max-pending-per-source": COUNT,
    "max-wrong-secrets": COUNT,
    "tls-port": COUNT,
    "key": (set(), None),
    "old-keys": (set(), None),
    "ports": ({WHOLE, SEVERAL}, "20000-20009"),
    "exclusive": ({WHOLE, SEVERAL}, "20000"),
    "from": ({SEVERAL}, "192.0.2.0/24"),
    "expires": ({DATE}, "2030-01-01"),
    "original": ONLY_SWITCH,
}


def everyKey() -> list[Option[object]]:
    """Return the options of all settings files."""
    return list(dict.fromkeys((*client.KEYS, *tunnels.KEYS, *server.KEYS, *users.KEYS)))


class TypesTests(SynchronousTestCase):
    """Every key with values of every type."""

    def accepts(self, option: Option[object], value: object) -> bool:
        try:
            convert(option, value, Path("/nowhere"))
        except ValueError as e:
            self.assertIn("must ", str(e).replace("cannot be read", "must "), option.key)
            return False
        return True

    def test_eachIsInTheTable(self) -> None:
        self.assertEqual({each.key for each in everyKey()}, set(KEYS))

    def test_eachTakesItsTypesAndNoOthers(self) -> None:
        for option in everyKey():
            types, text = KEYS[option.key]
            for kind, values in VALUES.items():
                for value in values:
                    self.assertEqual(self.accepts(option, value), kind in types, (option.key, value))
            if text is not None:
                self.assertTrue(self.accepts(option, text), option.key)
                self.assertEqual(self.accepts(option, [text, text]), SEVERAL in types, option.key)
            for value in NEVER:
                self.assertFalse(self.accepts(option, value), (option.key, value))
