"""What is not imported with Twisted."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.support import CHECKOUT

IMPORTING = """
import sys
from bore.system.openssl import withoutOpenSSL
with withoutOpenSSL():
    import twisted.internet.reactor
    import bore.server.service
    import bore.client.service
print(*[name for name in ("ssl", "_hashlib", "OpenSSL", "urllib.request", "http.client") if name in sys.modules])
import http.cookiejar
import ssl
print(http.cookiejar.CookieJar.__name__, ssl.SSLContext.__name__)
"""


class ImportTests(SynchronousTestCase):
    """A plain tunnel does without OpenSSL, and without the standard library's HTTP client."""

    def test_afterTheImportTheyCanBeImported(self) -> None:
        output = subprocess.run(
            [sys.executable, "-W", "error", "-c", IMPORTING], capture_output=True, text=True, cwd=CHECKOUT, check=False
        )
        self.assertEqual((output.stdout, output.stderr), ("\nCookieJar SSLContext\n", ""))
