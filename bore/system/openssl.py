"""Importing Twisted without OpenSSL."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Final, cast

#: What loads OpenSSL. Whoever imports one of these at its own import has a way to do without.
_NEED_OPENSSL: Final = ("OpenSSL", "ssl", "_ssl", "_hashlib")


@contextlib.contextmanager
def withoutOpenSSL() -> Iterator[None]:
    """
    Import Twisted and what it needs without OpenSSL, which a plain tunnel does not use.

    That is a third of the memory of its process at rest. The secret's hash has an implementation without it.
    """
    absent = {name for name in _NEED_OPENSSL if name not in sys.modules}
    if find_spec("_sha256") is None and find_spec("_sha2") is None:
        absent.discard("_hashlib")  # this Python has its hashes from OpenSSL alone
    for name in absent:
        sys.modules[name] = cast(ModuleType, None)  # the import system takes it for a module that does not exist
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
