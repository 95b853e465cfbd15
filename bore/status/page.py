"""
The web page of the status port: tunnels, who has them, their traffic and the last events. It changes nothing.

``page/`` has what a browser is sent. It needs nothing from elsewhere, and nothing inside the files comes from the
program: what is shown arrives as JSON, and the script makes text of it, never markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import resources
from typing import Final, TypeVar

from bore.status.questions import Answer, Endless, Question, Route
from bore.status.routes import Take, TakeTunnel, reportAnswer, tunnelRoute
from bore.status.viewers import Viewers

R = TypeVar("R")
S = TypeVar("S")
V = TypeVar("V")

#: The files of the page: where each is found, and what it is.
_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

#: What the page may do: use its own files and this port, and be in no frame.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: How many visitors of a tunnel the page lists.
MAX_LISTED: Final = 100


def pageRoutes(take: Take[S], tunnel: TakeTunnel[R, V], viewers: Viewers) -> Mapping[str, Route]:
    """
    Make what answers the page.

    :param take: takes a snapshot.
    :param tunnel: see :func:`bore.status.routes.tunnelRoute`.
    :param viewers: gets those who look.
    """
    files = {f"GET {path}": partial(_file, name, kind) for path, (name, kind) in _FILES.items()}
    return {
        **files,
        "GET /status": lambda _: take().addCallback(reportAnswer),
        "GET /tunnels/": tunnelRoute(tunnel, MAX_LISTED),
        "GET /events": partial(_events, viewers),
    }


def _file(name: str, kind: str, question: Question) -> Answer:
    content = (resources.files("bore.status") / "page" / name).read_bytes()
    return Answer(content, kind, headers={"Content-Security-Policy": _POLICY})


def _events(viewers: Viewers, question: Question) -> Answer | Endless:
    if question.method == "HEAD":
        return Answer(b"", "text/event-stream")
    return Endless(viewers.add, headers={"X-Accel-Buffering": "no"})  # nginx would wait for more
