"""
The web page of the status port: tunnels, who has them, their traffic and the last events. It changes nothing.

``page/`` has what a browser is sent. It needs nothing from elsewhere, and nothing inside the files comes from the
program: what is shown arrives as JSON, and the script makes text of it, never markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from typing import Final

from bore.status.questions import Answer, Endless, Question, Route
from bore.status.report import jsonParts
from bore.status.traffic import Report
from bore.status.viewers import Viewers

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


def pageRoutes(
    snapshot: Callable[[], Report], tunnel: Callable[[str, int], object], viewers: Viewers
) -> Mapping[str, Route]:
    """
    Make what answers the page.

    :param snapshot: returns a snapshot.
    :param tunnel: returns a tunnel, by its public address or its name, with at most so many of its visitors;
        raises Refused if there is none.
    :param viewers: gets those who look.
    """
    files = {f"GET {path}": partial(_file, name, kind) for path, (name, kind) in _FILES.items()}
    return {
        **files,
        "GET /status": lambda _: Answer(jsonParts(snapshot())),
        "GET /tunnels/": partial(_tunnel, tunnel),
        "GET /events": partial(_events, viewers),
    }


def _file(name: str, kind: str, question: Question) -> Answer:
    content = (resources.files("bore.status") / "page" / name).read_bytes()
    return Answer(content, kind, headers={"Content-Security-Policy": _POLICY})


def _events(viewers: Viewers, question: Question) -> Answer | Endless:
    if question.method == "HEAD":
        return Answer(b"", "text/event-stream")
    return Endless(viewers.add, headers={"X-Accel-Buffering": "no"})  # nginx would wait for more


def _tunnel(tunnel: Callable[[str, int], object], question: Question) -> Answer:
    return Answer(jsonParts(tunnel(question.path.removeprefix("/tunnels/"), MAX_LISTED)))
