"""The server endpoints ``bore:to=...``. Twisted imports this for every endpoint string, so it imports nothing else."""

from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(IPlugin, IStreamServerEndpointStringParser)
class BoreEndpoints:
    """See :func:`bore.library.endpoint.parse`."""

    prefix = "bore"

    def parseStreamServer(  # type: ignore[override]
        self, reactor: object, *arguments: str, **options: str
    ) -> IStreamServerEndpoint:
        """See IStreamServerEndpointStringParser: every parser has keywords of its own."""
        from bore.library.endpoint import parse

        return parse(reactor, *arguments, **options)


boreEndpoints = BoreEndpoints()
