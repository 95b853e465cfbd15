"""
Fuzz the targets, one after the other, each in a process of its own::

    python -m fuzz [--seconds SECONDS] [--keep] [TARGET ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from hashlib import sha1
from pathlib import Path
from typing import Final

from fuzz.keep import worthKeeping

_CORPUS: Final = Path(__file__).with_name("corpus")

#: The longest input, in bytes: longer ones only repeat what shorter ones do.
_LONGEST: Final = 6000

#: An input that takes longer is a fault, in seconds.
_SLOWEST: Final = 5

#: More memory than this is a fault, in MB.
_MEMORY: Final = 1024


def main() -> int:
    """Run the command line; the exit code is 1 when a target broke a promise."""
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long, all targets together (default: 60)")
    parser.add_argument("--keep", action="store_true", help="add inputs that reach more code to the corpus")
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], help="fuzz these only")
    arguments = parser.parse_args()
    names = arguments.target or list(TARGETS)
    return max([_fuzz(name, max(1, arguments.seconds // len(names)), arguments.keep) for name in names])


def _fuzz(name: str, seconds: int, keep: bool) -> int:
    corpus = _CORPUS / name
    with tempfile.TemporaryDirectory() as found:
        print(f"{name}: {seconds} s", flush=True)  # noqa: T201
        limits = [f"-max_total_time={seconds}", f"-timeout={_SLOWEST}", f"-rss_limit_mb={_MEMORY}"]
        code = _run(name, *limits, f"-max_len={_LONGEST}", "-print_final_stats=1", found, corpus)
        if code == 0 and keep:
            _keep(name, [*corpus.iterdir(), *Path(found).iterdir()])
    return min(code, 1)


def _keep(name: str, paths: list[Path]) -> None:
    """Add the inputs to the corpus that reach something new, and remove those that shorter ones make superfluous."""
    from fuzz.targets import TARGETS

    inputs = {path.read_bytes() for path in paths}
    kept = {sha1(each, usedforsecurity=False).hexdigest(): each for each in worthKeeping(TARGETS[name], inputs)}
    corpus = _CORPUS / name
    for path in corpus.iterdir():
        if path.name not in kept:
            path.unlink()
    for digest, each in kept.items():
        (corpus / digest).write_bytes(each)


def _run(name: str, *arguments: str | Path) -> int:
    artifacts = f"-artifact_prefix={_CORPUS.parent / name}-"
    return subprocess.run([sys.executable, "-m", "fuzz.run", name, artifacts, *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
