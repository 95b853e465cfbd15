"""What a node of a cluster answers to those who ask for its status."""

from __future__ import annotations

from typing import Final

#: What a node of a cluster answers: its further key.
NODE: Final[dict[str, object]] = {
    "cluster": {
        "node": "node1",
        "state": "holding",
        "engineAway": 58.2,
        "recovering": False,
        "recoversIn": None,
        "nodes": [
            {
                "name": "node2",
                "state": "up",
                "advertise": "tls://node2.example.com:7835",
                "tunnels": 12,
                "version": "1.2.3",
            },
            {
                "name": "node3",
                "state": "away",
                "advertise": "tls://node3.example.com:7835",
                "tunnels": 9,
                "version": "1.2.3",
            },
        ],
    }
}
