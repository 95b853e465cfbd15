"""
How the interpreter was built: ``python -m benchmarks.interpreter`` prints a better one than that which runs it.

Without PGO and LTO (``--enable-optimizations --with-lto``) Python code takes a third more CPU time. pyenv builds
without them unless told otherwise. Distributions build with them; Debian removes the flags from what ``sysconfig``
returns.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from typing import Final

#: The oldest version that the program runs on.
_OLDEST: Final = (3, 11)

#: Where optimised ones are looked for. The first is the distribution's, wherever PATH leads.
_CANDIDATES: Final = ("/usr/bin/python3", "python3", "python3.14", "python3.13", "python3.12", "python3.11")

#: What an interpreter is asked. It also has to be able to make an environment.
_QUESTION: Final = (
    "import ensurepip, json, sys, sysconfig, venv; "
    "print(json.dumps([sysconfig.get_config_var('CONFIG_ARGS') or '', sys.base_prefix, sys.version_info[:2]]))"
)

#: How long it may take to answer, in seconds.
_TIMEOUT: Final = 20.0


@dataclass(frozen=True, slots=True)
class Build:
    """
    How an interpreter was built.

    :ivar pgo: whether with profile-guided optimisation.
    :ivar lto: whether with link-time optimisation.
    :ivar distributions: whether it is that of the distribution, which is optimised, whatever its flags say.
    """

    pgo: bool
    lto: bool
    distributions: bool

    @property
    def optimised(self) -> bool:
        """Whether its figures are those that the program can have."""
        return self.distributions or (self.pgo and self.lto)

    def __str__(self) -> str:
        flags = [name for name, has in (("PGO", self.pgo), ("LTO", self.lto)) if has]
        text = f"built with {' and '.join(flags)}" if flags else "built without PGO and LTO"
        return "the distribution's" if self.distributions else text


def buildOf(configArgs: str, basePrefix: str) -> Build:
    """
    How an interpreter was built.

    :param configArgs: its ``CONFIG_ARGS``, as ``sysconfig`` has them.
    :param basePrefix: its ``sys.base_prefix``.
    """
    return Build("--enable-optimizations" in configArgs, "--with-lto" in configArgs, basePrefix == "/usr")


def thisBuild() -> Build:
    """How the interpreter that runs this was built."""
    return buildOf(sysconfig.get_config_var("CONFIG_ARGS") or "", sys.base_prefix)


def better() -> str | None:
    """The path of an optimised interpreter; None if this one is, or if there is no other one."""
    if thisBuild().optimised:
        return None
    for name in _CANDIDATES:
        path = shutil.which(name)
        if path is not None and _isBetter(path):
            return path
    return None


def _isBetter(path: str) -> bool:
    try:
        answer = subprocess.run([path, "-c", _QUESTION], capture_output=True, timeout=_TIMEOUT, check=True).stdout
        configArgs, prefix, version = json.loads(answer)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return tuple(version) >= _OLDEST and buildOf(configArgs, prefix).optimised


if __name__ == "__main__":
    print(better() or "")  # noqa: T201
