"""
What setup.cfg declares, for those that test it: ``python .ci/declared.py lowest`` or ``pythons``.

``lowest`` prints the lowest version of each package that is needed, as constraints for pip; ``pythons`` the versions of
Python.
"""

import configparser
import re
import sys
from pathlib import Path

#: The extras that users install.
EXTRAS = ("etcd", "redis")

SETUP = Path(__file__).parent.parent / "setup.cfg"


def lowest(config: configparser.ConfigParser) -> list[str]:
    """Constraints, for the extras that users install as well; without a lowest version there is no test."""
    found = []
    needed = [config["options"]["install_requires"], *(config["options.extras_require"][each] for each in EXTRAS)]
    for requirement in (line for each in needed for line in each.strip().splitlines()):
        parts = re.fullmatch(r"([\w.-]+) >= ([\w.]+)", requirement)
        if parts is None:
            raise SystemExit(f"{SETUP}: {requirement!r} is not of the form 'NAME >= VERSION'")
        found.append("{}=={}".format(*parts.groups()))
    return found


def pythons(config: configparser.ConfigParser) -> list[str]:
    """Versions, as ``3.11``."""
    return re.findall(r"^Programming Language :: Python :: (3\.\d+)$", config["metadata"]["classifiers"], re.MULTILINE)


def main() -> None:
    config = configparser.ConfigParser()
    config.read(SETUP)
    print(*{"lowest": lowest, "pythons": pythons}[sys.argv[1]](config), sep="\n")  # noqa: T201


if __name__ == "__main__":
    main()
