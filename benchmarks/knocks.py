"""
Connections to a control port that stay for their first message only: a program of its own.

``python -m benchmarks.knocks HOST PORT KIND SECONDS AT_ONCE``: each sends Accept for a visitor that is not there, after
it has proved that it knows the secret (KIND ``secret``), or inside TLS (``tls``), or at once (``plain``), and stays
until the server closes it. It prints how many there were, and how many got no answer, as JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import ssl
import sys
import time
import uuid
from typing import Final

from benchmarks.idletunnels import trustful

#: What the server and its clients know where they have a secret.
SECRET: Final = "knock knock"

_KEY: Final = hashlib.sha256(SECRET.encode()).digest()

#: How long one connection may take, in seconds.
_TIMEOUT: Final = 10.0


async def _knock(host: str, port: int, kind: str, context: ssl.SSLContext | None) -> None:
    """
    One connection.

    :raises OSError, EOFError, TimeoutError: if the server does not let it say what it wants.
    """
    async with asyncio.timeout(_TIMEOUT):
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        try:
            if kind == "secret":
                challenge = json.loads((await reader.readuntil(b"\0"))[:-1])["Challenge"]
                proof = hmac.new(_KEY, uuid.UUID(challenge).bytes, hashlib.sha256).hexdigest()
                writer.write(json.dumps({"Authenticate": proof}).encode() + b"\0")
            # It has the number of the first worker, as one that the worker had given would have.
            writer.write(json.dumps({"Accept": f"0001{str(uuid.uuid4())[4:]}"}).encode() + b"\0")
            await reader.read()
        finally:
            writer.transport.abort()


async def knock(host: str, port: int, kind: str, seconds: float, atOnce: int) -> dict[str, int]:
    """Have connections come, so many at a time; return how many there were, and how many of these failed."""
    context = trustful() if kind == "tls" else None
    end = time.monotonic() + seconds
    found = {"count": 0, "failed": 0}

    async def one() -> None:
        while time.monotonic() < end:
            found["count"] += 1
            try:
                await _knock(host, port, kind, context)
            except (OSError, EOFError, TimeoutError):
                found["failed"] += 1

    await asyncio.gather(*(one() for _ in range(atOnce)))
    return found


if __name__ == "__main__":
    host, port, kind, seconds, atOnce = sys.argv[1:]
    print(json.dumps(asyncio.run(knock(host, int(port), kind, float(seconds), int(atOnce)))))  # noqa: T201
