"""What twistd finds: ``twistd bore-server`` and ``twistd bore-client``."""

from twisted.application.service import ServiceMaker

boreServer = ServiceMaker(
    "bore server", "bore.tap.server", "A TCP tunnel's server: it listens on public ports.", "bore-server"
)
boreClient = ServiceMaker(
    "bore client", "bore.tap.client", "A TCP tunnel's client: it shows a local port through a server.", "bore-client"
)
