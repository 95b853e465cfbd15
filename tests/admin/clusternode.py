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
                "beat": 0.4,
            },
            {
                "name": "node3",
                "state": "away",
                "advertise": "tls://node3.example.com:7835",
                "tunnels": 9,
                "version": "1.2.3",
                "beat": 75.2,
            },
        ],
    },
    "forwards": [
        {
            "address": 20100,
            "user": "",
            "network": "",
            "peer": None,
            "state": "forwarded",
            "since": "2026-11-26T11:59:48.000Z",
            "awaySince": None,
            "keptFor": None,
            "visitors": {"open": 2, "waiting": 0, "total": 9, "refused": 0},
            "bytes": {"toClient": 1200, "toVisitors": 99000},
            "nodes": ["node2", "node3"],
        }
    ],
}
