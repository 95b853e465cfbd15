"""A real browser, which looks at the page from a thread of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Dialog, Page

T = TypeVar("T")

#: The names of the program: Debian's, and those of others.
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def whyNoBrowser() -> str | None:
    """Why no browser can be started; None: one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "PLAYWRIGHT IS NOT HERE: pip install '.[browser]'"
    if not any(map(shutil.which, _NAMES)):
        return "CHROMIUM IS NOT HERE: apt install chromium"
    return None


class Browser:
    """Chromium, without a window. It runs until it is closed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "browser")
        self._thread.submit(self._start).result()

    def _start(self) -> None:
        from playwright.sync_api import sync_playwright

        path = next(filter(None, map(shutil.which, _NAMES)))
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(executable_path=path)

    def visit(self, url: str, look: Callable[[Page], T], **settings: Any) -> Deferred[T]:
        """
        Open a page in a window of its own, and look at it.

        :param look: is called in the thread of the browser.
        :param settings: of the window, such as ``viewport`` and ``color_scheme``.
        :returns: fires with what it returns; fails with an AssertionError if the page has logged an error or violated
            its policy meanwhile.
        """
        done: Deferred[T] = Deferred()
        threads = IReactorFromThreads(reactor)

        def settle(future: Future[T]) -> None:
            error = future.exception()
            if error is None:
                threads.callFromThread(done.callback, future.result())
            else:
                threads.callFromThread(done.errback, Failure(error))

        self._thread.submit(self._visit, url, look, settings).add_done_callback(settle)
        return done

    def _visit(self, url: str, look: Callable[[Page], T], settings: dict[str, Any]) -> T:
        context: BrowserContext = self._chromium.new_context(**settings)
        context.set_default_timeout(15000)
        errors: list[str] = []

        def closed(dialog: Dialog) -> None:
            errors.append(f"a dialog: {dialog.message}")
            dialog.dismiss()

        try:
            page = context.new_page()
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("dialog", closed)
            page.goto(url)
            found = look(page)
        finally:
            context.close()
        expected = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")
        unexpected = [each for each in errors if not any(code in each for code in expected)]
        if unexpected:
            raise AssertionError("\n".join(unexpected))
        return found

    def close(self) -> None:
        """End the browser."""

        def end() -> None:
            self._chromium.close()
            self._playwright.stop()

        self._thread.submit(end).result()
        self._thread.shutdown()
