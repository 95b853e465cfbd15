"""One target under atheris, with libFuzzer's arguments: ``python -m fuzz.run TARGET [ARGUMENT ...]``."""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Run the command line."""
    with atheris.instrument_imports(include=["bore"]):
        from fuzz.targets import TARGETS

    program, name, *arguments = sys.argv
    atheris.Setup([program, *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
