"""
What is made from the options' descriptions: manual pages in ``docs/man``, and the tables in ``docs/commands.rst``.

``python .ci/generated.py`` writes them, with ``--check`` it fails if they are not as it would write them.
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bore.commandline import Command  # noqa: E402
from bore.commands import allCommands  # noqa: E402
from bore.completion.described import groups, summary  # noqa: E402
from bore.option import Option  # noqa: E402
from bore.version import __version__  # noqa: E402

PAGE = ROOT / "docs" / "commands.rst"
MANUAL = ROOT / "docs" / "man"

#: Where an option is described further: the title of a section.
SEE = {
    "--unix-folder": "`Behind a reverse proxy`_",
    "--trusted-proxies": "`Behind a balancer`_",
    "--max-lanes": "Lanes_",
    "--lanes": "Lanes_",
    "--nodes": "Clusters_",
    "--tls": "Encrypted_",
    "--tls-port": "Encrypted_",
    "--tls-crl": "`Revoked certificates`_",
    "--users": "People_",
    "--to": "People_",
    "LOCAL": "`Several tunnels`_",
    "--port": "`Behind a reverse proxy`_",
    "--proxy-protocol": "`Real addresses`_",
    "--bandwidth": "Bandwidth_",
    "--no-error-page": "`When the local service is down`_",
    "--no-probe": "`When the local service is down`_",
    "--allow": "`Who may visit`_",
    "--visitor-log": "`Visitor log`_",
    "--config": "`Several tunnels`_",
    "--status-port": "Metrics_",
    "--quiet": "Terminal_",
    "--log-format": "Events_",
    "--fail-fast": "`When nothing works yet`_",
}

#: The exit codes are described once, in docs/commands.rst.
EXIT = "0 after a stop on request, 2 for an invalid command line or file, else see bore(1)."

WIDTH = 120


def tables() -> dict[str, list[Option[object]]]:
    """Return the options of each table: those of the server, of the client, and of both."""
    commands = {each.name: each for each in allCommands()}
    server, client = commands["bore server"].options, commands["bore local"].options
    names = {each.flags[-1] for each in server if same(each, client)}
    return {
        "bore server": [each for each in server if each.flags[-1] not in names],
        "bore local": [each for each in client if each.flags[-1] not in names],
        "both": [each for each in server if each.flags[-1] in names],
    }


def same(option: Option[object], others: Sequence[Option[object]]) -> bool:
    """Return whether others have the same option, and not another one with its flag."""
    return any(each.flags == option.flags and each.help == option.help for each in others)


def table(options: Sequence[Option[object]]) -> str:
    """Return a table in reST."""
    rows = [("option", "variable", "default", "meaning"), *map(row, options)]
    if not any(each[1] for each in rows[1:]):
        rows = [(flag, "", default, meaning) for flag, _, default, meaning in rows]
    widths = [max(len(each[column]) for each in rows) for column in range(2)]
    widths.append(min(23, max(len(each[2]) for each in rows)))
    widths.append(WIDTH - sum(widths) - 3)
    bar = " ".join("=" * width for width in widths)
    lines = [bar]
    for number, each in enumerate(rows):
        cells = [textwrap.wrap(each[column], widths[column], break_on_hyphens=False) or [""] for column in range(4)]
        for line in range(max(map(len, cells))):
            parts = [
                (cell[line] if line < len(cell) else "").ljust(width) for cell, width in zip(cells, widths, strict=True)
            ]
            lines.append(" ".join(parts).rstrip())
        if number == 0:
            lines.append(bar)
    return "\n".join([*lines, bar])


def row(option: Option[object]) -> tuple[str, str, str, str]:
    name = option.metavar or "" if option.positional else ""
    flags = f"``{name}``" if name else ", ".join(f"``{each}``" for each in option.flags)
    see = SEE.get(name or option.flags[-1])
    meaning = literal(option.help) + (f"; see {see}" if see else "") + ("; may be repeated" if option.repeats else "")
    return flags, f"``{option.environment}``" if option.environment else "", literal(option.shown or ""), meaning


def literal(text: str) -> str:
    """Return a text with what reST would take for markup, and options, as literals."""
    text = re.sub(r"(?<![\w`-])(--[a-z][a-z-]+)", r"``\1``", text)
    return text.replace("*", "\\*").replace("_ ", "\\_ ")


def page(text: str) -> str:
    """Return docs/commands.rst with the tables."""
    for name, options in tables().items():
        begin, end = f".. table of options begin: {name}\n", ".. table of options end\n"
        before, rest = text.split(begin, 1)
        text = f"{before}{begin}\n{table(options)}\n\n{end}{rest.split(end, 1)[1]}"
    return text


def manuals() -> dict[str, str]:
    """Return the manual pages, by file."""
    grouped = groups(allCommands())
    found = {"bore.1": overview(grouped)}
    for first, commands in grouped.items():
        found[f"bore-{first}.1"] = manual(first, commands)
    return found


def head(name: str, text: str) -> list[str]:
    return [
        r".\" Made from the options by .ci/generated.py.",
        f'.TH "{name.upper()}" "1" "" "txbore {__version__}" "txbore"',
        ".SH NAME",
        rf"{roff(name)} \- {roff(text)}",
    ]


def overview(grouped: dict[str, list[Command[object]]]) -> str:
    lines = head("bore", "a self-hosted TCP tunnel")
    lines += [".SH SYNOPSIS", r"\fBbore\fR [\fB\-\-reactor\fR \fINAME\fR] \fICOMMAND\fR ...", ".SH DESCRIPTION"]
    lines.append(
        "A machine behind NAT shows a local port to the world through a server that its owner runs. The program is "
        "also installed as txbore."
    )
    lines.append(".SH COMMANDS")
    for first, commands in grouped.items():
        lines += [".TP", rf"\fBbore {roff(first)}\fR", roff(summary(commands)) + "."]
    lines += [".SH EXIT STATUS"]
    for code, text in exitCodes():
        lines += [".TP", f"\\fB{code}\\fR", roff(text)]
    lines += [".SH SEE ALSO", ", ".join(rf"\fBbore\-{roff(first)}\fR(1)" for first in grouped)]
    return "\n".join(lines) + "\n"


def exitCodes() -> Iterator[tuple[str, str]]:
    """Read the table of exit codes in docs/commands.rst."""
    section = PAGE.read_text(encoding="utf-8").split("\ncode meaning\n", 1)[1].split("\n\n", 1)[0]
    for part in re.split(r"\n(?=\d)", section.split("\n", 1)[1].rsplit("\n", 1)[0]):
        code, text = part.split(None, 1)
        yield code, re.sub(r"`?([A-Za-z ]+)`?_(?=\W)", r"\1", " ".join(text.replace("``", "").split()))


def manual(first: str, commands: Sequence[Command[object]]) -> str:
    lines = head(f"bore-{first}", summary(commands) if len(commands) == 1 else f"commands: {summary(commands)}")
    lines.append(".SH SYNOPSIS")
    for command in commands:
        line = [rf"\fB{roff(command.name)}\fR", r"[\fIOPTIONS\fR]"]
        line += [
            rf"[\fI{roff(each.metavar or '')}\fR{' ...' if each.repeats else ''}]"
            for each in command.options
            if each.positional
        ]
        lines += [" ".join(line), ".br"]
    for command in commands:
        lines += [f".SH {roff(command.name.upper() if len(commands) > 1 else 'DESCRIPTION')}", roff(command.summary)]
        for option in command.options:
            lines.append(".TP")
            value = rf" \fI{roff(option.metavar)}\fR" if option.metavar and not option.positional else ""
            names = [option.metavar or ""] if option.positional else option.flags
            lines.append(", ".join(rf"\fB{roff(each)}\fR" for each in names) + value)
            lines.append(roff(option.help) + ".")
            if option.shown:
                lines.append(f"Default: {roff(option.shown)}.")
            if option.environment:
                lines.append(rf"Variable: \fB{roff(option.environment)}\fR.")
    lines += [".SH EXIT STATUS", roff(EXIT), ".SH SEE ALSO", r"\fBbore\fR(1)"]
    return "\n".join(lines) + "\n"


def roff(text: str) -> str:
    """Escape a text."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return re.sub(r"^\.", r"\&.", escaped)


def main(arguments: Sequence[str]) -> int:
    files = {PAGE: page(PAGE.read_text(encoding="utf-8"))}
    files |= {MANUAL / name: text for name, text in manuals().items()}
    wrong = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    wrong += [path for path in MANUAL.glob("*.1") if path not in files]
    if "--check" in arguments:
        for path in wrong:
            print(f"{path.relative_to(ROOT)} is not what the options make: run 'make generated'")  # noqa: T201
        return 1 if wrong else 0
    MANUAL.mkdir(exist_ok=True)
    for path in wrong:
        if path in files:
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
