"""The twistd plugins ``bore-server`` and ``bore-client``."""

from twisted.application.service import ServiceMaker

boreServer = ServiceMaker(
    "bore server", "bore.tap.server", "The server of a TCP tunnel, which listens on public ports.", "bore-server"
)
boreClient = ServiceMaker(
    "bore client", "bore.tap.client", "The client of a TCP tunnel, which shows a local port.", "bore-client"
)
