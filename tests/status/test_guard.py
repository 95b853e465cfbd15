"""Which requests the status port answers."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from bore.status.guard import HEADERS, Guard
from bore.status.questions import Answer, Question, Refused

TOKEN = "a-token-of-24-characters"


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


def route(question: Question) -> Answer:
    if question.path == "/nowhere":
        raise Refused(404, "there is no /nowhere")
    return Answer(b"secret", headers={"X-Frame-Options": "SAMEORIGIN"})


class GuardCase(SynchronousTestCase):
    guard = Guard(None, route)

    def ask(
        self, path: str = "/status", host: str | None = None, credentials: str | None = None, method: str = "GET"
    ) -> Answer:
        headers = {"host": host, "authorization": credentials}
        given = {name: each for name, each in headers.items() if each is not None}
        answer = self.guard(Question(method, path, {}, given, b"", "192.0.2.1:4711"))
        assert isinstance(answer, Answer)
        self.assertEqual(answer.code == 200, answer.body == b"secret")
        self.assertLessEqual(set(HEADERS), set(answer.headers))
        return answer

    def code(
        self, path: str = "/status", host: str | None = None, credentials: str | None = None, method: str = "GET"
    ) -> int:
        return self.ask(path, host, credentials, method).code


class WithoutTokenTests(GuardCase):
    """On loopback, where every program of this machine may ask."""

    def test_aRequestForAnAddressOrLocalhostIsAnswered(self) -> None:
        for host in (
            "127.0.0.1", "127.0.0.1:7836", "localhost", "LocalHost:7836", "localhost.:7836", "[::1]", "[::1]:7836",
            "::1", "192.0.2.7:80", None,
        ):  # fmt: skip
            self.assertEqual(self.code(host=host), 200, host)

    def test_oneForAnyOtherNameIsNotAsItMayBeTheNameOfAWebSiteThatLeadsHere(self) -> None:
        for host in ("evil.example", "evil.example:7836", "localhost.evil.example", "", "[evil.example]", "é"):
            self.assertEqual(self.code(host=host), 421, host)

    def test_itAnswersNoRequestThatMayChangeSomething(self) -> None:
        self.assertEqual(self.code(method="HEAD"), 200)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "get"):
            self.assertEqual(self.ask(method=method).headers["Allow"], "GET, HEAD")

    def test_noHeaderAllowsOtherSitesToRead(self) -> None:
        headers = self.ask().headers
        self.assertFalse([name for name in headers if name.lower().startswith("access-control")])
        self.assertIn("Content-Security-Policy", headers)

    def test_anAnswerMayHaveAPolicyOfItsOwn(self) -> None:
        self.assertEqual(self.ask().headers["X-Frame-Options"], "SAMEORIGIN")

    def test_whatIsRefusedBehindItHasItsHeadersToo(self) -> None:
        self.assertEqual(self.code("/nowhere"), 404)


class WithTokenTests(GuardCase):
    """Where a token is needed."""

    tokens: Sequence[str] = ("another-token-that-is-valid", TOKEN)

    def setUp(self) -> None:
        self.guard = Guard(lambda: self.tokens, route)

    def test_itIsTheTokenOfBearerOrThePasswordOfBasicWithAnyName(self) -> None:
        token = TOKEN.encode()
        for credentials in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(b":" + token), basic(b"me:" + token)):
            self.assertEqual(self.code(credentials=credentials), 200, credentials)

    def test_eachOfSeveralTokensIsValid(self) -> None:
        self.assertEqual(self.code(credentials="Bearer another-token-that-is-valid"), 200)

    def test_withoutOneTheBrowserIsAskedForIt(self) -> None:
        answer = self.ask("/", "example.com")
        self.assertEqual(answer.code, 401)
        self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Basic "))

    def test_anythingElseIsRefused(self) -> None:
        token = TOKEN.encode()
        for credentials in (
            "", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Digest {TOKEN}", TOKEN, basic(token),
            basic(token + b":"), "Basic !", f"Basic {TOKEN}", "Bearer é", "Basic é", basic(b"me:\xff"),
        ):  # fmt: skip
            self.assertEqual(self.code(credentials=credentials), 401, credentials)

    def test_noTokenIsValidWhileTheFileIsUnusable(self) -> None:
        def unusable() -> Sequence[str]:
            raise ValueError("is empty")

        self.guard = Guard(unusable, route)
        self.assertEqual(self.code(credentials=f"Bearer {TOKEN}"), 503)
        self.assertEqual(self.code(), 401)

    def test_theNameOfTheHostDoesNotMatter(self) -> None:
        self.assertEqual(self.code(host="status.example.com", credentials=f"Bearer {TOKEN}"), 200)

    def test_programsThatOnlyLookWhetherItIsAliveNeedNone(self) -> None:
        self.assertEqual([self.code(path) for path in ("/healthz", "/readyz")], [200, 200])
        self.assertEqual(self.code("/healthz", method="POST"), 405)
        for path in ("/healthz/", "//healthz", "/healthz/../metrics", "/metrics", "*"):
            self.assertEqual(self.code(path), 401, path)
