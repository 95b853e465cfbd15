"""The demonstration: a web page, a server, a client, and a fetch through the tunnel, in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, readBody
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import implementer

from bore import exits
from bore.client.log import logged as clientLog
from bore.client.reasons import describe
from bore.client.service import ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.options.demo import DemoCommand
from bore.server.log import logged as serverLog
from bore.server.service import ServerService
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor

_LOOPBACK: Final = "127.0.0.1"

#: Seconds until the page must have been fetched.
_TIMEOUT: Final = 10.0

PAGE: Final = b"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>It works</title>
<style>
  body { font: 18px/1.5 system-ui, sans-serif; max-width: 34em; margin: 15vh auto; padding: 0 1em }
  code { background: #8882; padding: .1em .3em; border-radius: .2em }
  @media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }
</style>
<h1>It works</h1>
<p>This page came through a bore tunnel: your browser asked the <em>server</em>, which passed the connection to the
<em>client</em>, which passed it to a small web server that only this machine can reach.</p>
<p>On two machines: run <code>bore server</code> on the one that the world can reach, and
<code>bore local 8000 --to SERVER</code> on the one with the service that you want to show.</p>
</html>
"""


class _Page(Resource):
    """Serves the built-in web page under every path."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
        return PAGE


@implementer(IAgentEndpointFactory)
class _Loopback:
    """Connects to this machine. The agent's own endpoint would start a thread to look up its address."""

    def __init__(self, reactor: IReactor) -> None:
        self._reactor = reactor

    def endpointForURI(self, uri: URI) -> TCP4ClientEndpoint:
        return TCP4ClientEndpoint(self._reactor, _LOOPBACK, uri.port)


class Demo(MultiService):
    """
    Shows the page through the tunnel and fetches it once.

    :param stop: ends the process.
    :ivar code: the exit code once the demonstration has ended.
    """

    _log = Logger()

    def __init__(self, reactor: IReactor, stop: Callable[[], None], options: DemoCommand) -> None:
        MultiService.__init__(self)
        self._reactor = reactor
        self._stopProcess = stop
        self._options = options
        self.code = exits.OK
        self._web: IListeningPort | None = None

    def startService(self) -> None:
        """Start the page, the server and the client, and fetch the page."""
        MultiService.startService(self)
        done = Deferred.fromCoroutine(self._show()).addTimeout(_TIMEOUT, self._reactor)
        done.addErrback(self._failed).addCallback(lambda _: self._finish())

    async def _show(self) -> None:
        site = Site(_Page())
        site.noisy = False
        self._web = web = await TCP4ServerEndpoint(self._reactor, 0, interface=_LOOPBACK).listen(site)
        server = self._makeServer()
        MultiService.addService(self, server)
        client = self._makeClient(web.getHost().port, server.controlPort)
        MultiService.addService(self, client)
        url = f"http://{_LOOPBACK}:{await client.whenOpened()}/"
        client.whenGaveUp().addErrback(self._failed).addCallback(lambda _: self._stop())
        self._log.info("the page is at {url}", announce=True, url=url)
        await self._fetch(url)
        if not self._options.once:
            self._log.info("press Ctrl-C to stop", announce=True)

    def _makeServer(self) -> ServerService:
        settings = ServerSettings(
            bindAddr=_LOOPBACK, bindTunnels=_LOOPBACK, controlPort=0, portableRelay=self._options.portableRelay
        )
        return ServerService(self._reactor, settings, sink=serverLog(self._reactor, self._options.log.visitors))

    def _makeClient(self, localPort: int, controlPort: int) -> ClientService:
        settings = ClientSettings(
            (ServerAddress(_LOOPBACK, controlPort),),
            reconnect=False,
            portableRelay=self._options.portableRelay,
        )
        tunnel = TunnelSpec(Target(localPort, _LOOPBACK), self._options.port)
        return ClientService(self._reactor, settings, [tunnel], clientLog(self._reactor, self._options.log.visitors))

    async def _fetch(self, url: str) -> None:
        agent = Agent.usingEndpointFactory(self._reactor, _Loopback(self._reactor))
        response = await agent.request(b"GET", url.encode())
        body = await readBody(response)
        if response.code != 200 or body != PAGE:
            raise RuntimeError(f"{url} returned status {response.code} and {len(body)} bytes that are not the page")
        self._log.info(
            "fetched it through the tunnel: status 200, {size} bytes, unchanged", announce=True, size=len(body)
        )

    def reload(self) -> None:
        """Log that there is nothing to reload."""
        self._log.info("nothing to reload")

    def stopService(self) -> Deferred[None]:
        """Stop the page, the server and the client."""
        stopped: Deferred[None] = MultiService.stopService(self)
        if self._web is not None:
            self._web.stopListening()
        return stopped

    def _failed(self, reason: Failure) -> None:
        if self.running:  # otherwise it is being stopped
            self._log.error("the demonstration failed: {error}", error=describe(reason.value))
            self.code = exits.FAILURE

    def _finish(self) -> None:
        if self._options.once or self.code != exits.OK:
            self._stop()

    def _stop(self) -> None:
        if self.running:
            self._stopProcess()
