"""
Which requests the status port answers.

There are two dangers beside a stranger who can connect. A web site that is open in a browser on this machine may send
requests to loopback, and with a name of its own that leads there (DNS rebinding) read the answers: so a request without
a token must be for an IP address or ``localhost``. And a request may change something: so only GET and HEAD are
answered, and nothing behind them changes anything.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final, TypeAlias

from bore.status.questions import Answer, Answered, Endless, Question, Refused, Route, errorAnswer
from bore.streams.addresses import isLiteral

#: Returns the tokens that are valid now; raises ValueError if they are not known.
Tokens: TypeAlias = Callable[[], Sequence[str]]

#: What anyone may ask: programs that only look whether this one is alive often cannot send a token.
OPEN: Final = frozenset(("/healthz", "/readyz"))

#: The headers of every answer. One that needs more than nothing from elsewhere has a policy of its own.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

#: Browsers show a form for it, and send the token with whatever name is given there.
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="txbore", charset="UTF-8"'}


class Guard:
    """
    Answers the requests that may be answered.

    :param tokens: of which a request needs one; None: it needs none.
    :param route: answers the requests.
    """

    def __init__(self, tokens: Tokens | None, route: Route) -> None:
        self._tokens = tokens
        self._route = route

    def __call__(self, question: Question) -> Answered:
        """Answer a request, or refuse it."""
        try:
            self._check(question)
            answered = self._route(question)
        except Refused as e:
            answered = errorAnswer(e)
        match answered:
            case Answer() | Endless():
                return replace(answered, headers={**HEADERS, **answered.headers})
            case _:
                return answered.addCallback(lambda answer: replace(answer, headers={**HEADERS, **answer.headers}))

    def _check(self, question: Question) -> None:
        if question.method not in ("GET", "HEAD"):
            raise Refused(405, "only GET and HEAD are answered here", {"Allow": "GET, HEAD"})
        if self._tokens is None:
            if not _isOfThisMachine(question.headers.get("host")):
                raise Refused(
                    421,
                    "without a token, this port only answers requests for an address or localhost, such as "
                    "http://127.0.0.1: use one of these, or --status-token-file",
                )
        elif question.path not in OPEN:
            self._checkToken(self._tokens, question.headers.get("authorization", ""))

    def _checkToken(self, tokens: Tokens, credentials: str) -> None:
        given = _tokenIn(credentials)
        if given is None:
            raise Refused(
                401,
                "a token is needed: send it as 'Authorization: Bearer TOKEN', or as the password of HTTP Basic with "
                "any user name",
                _CHALLENGE,
            )
        try:
            known = tokens()
        except ValueError:
            raise Refused(503, "the file with the tokens cannot be used: the log has the reason") from None
        if not _isAmong(given, known):
            raise Refused(401, "the token is wrong: it is a line of the file of --status-token-file", _CHALLENGE)


def _isAmong(given: bytes, known: Sequence[str]) -> bool:
    """Whether a token is valid. How long this takes depends on none of the tokens."""
    mine = sha256(given).digest()
    matches = [hmac.compare_digest(mine, sha256(each.encode()).digest()) for each in known]
    return any(matches)


def _tokenIn(credentials: str) -> bytes | None:
    """The token in an Authorization header: of the scheme Bearer (RFC 6750), or the password of Basic (RFC 7617)."""
    scheme, _, rest = credentials.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip().encode()
        case "basic":
            try:
                return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
            except ValueError:
                return b""
    return None


def _isOfThisMachine(host: str | None) -> bool:
    """Whether a Host header is an IP address or ``localhost``, with or without a port. HTTP/1.0 may have none."""
    if host is None:
        return True
    text = host.strip().lower()
    if text.startswith("["):
        name = text[1:].partition("]")[0]
    else:
        name = text if text.count(":") > 1 else text.partition(":")[0]
    return name.removesuffix(".") == "localhost" or isLiteral(name)
