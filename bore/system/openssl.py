"""Importing Twisted without OpenSSL, and without what else takes memory and is not used."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Final, cast

#: The modules that load OpenSSL. Modules that import them at their own import have a way to do without.
_NEED_OPENSSL: Final = ("OpenSSL", "ssl", "_ssl", "_hashlib")

#: A module that Twisted imports for a deprecated name of it (``twisted.python.compat.cookielib``). It imports the
#: standard library's HTTP client and parsers of e-mail.
_COOKIES: Final = "http.cookiejar"


@contextlib.contextmanager
def withoutOpenSSL() -> Iterator[None]:
    """
    Import Twisted and what it needs without OpenSSL, which a plain tunnel does not use.

    This saves a third of the memory of the process at rest. The secret's hash has an implementation without it. The
    standard library's cookies, which are 1.3 MiB with their imports, are replaced by an empty module in the meantime.
    """
    absent = {name for name in _NEED_OPENSSL if name not in sys.modules}
    if find_spec("_sha256") is None and find_spec("_sha2") is None:
        absent.discard("_hashlib")  # this Python has no hashes but those of OpenSSL
    for name in absent:
        sys.modules[name] = cast(ModuleType, None)  # as if the module did not exist
    if _COOKIES not in sys.modules:
        absent.add(_COOKIES)
        sys.modules[_COOKIES] = ModuleType(_COOKIES)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
