"""Completion in zsh."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bore.commandline import Command
from bore.completion.described import COMMON, HELP, PROGRAMS, flagged, groups, isFile, summary, words
from bore.option import Option


def script(commands: Sequence[Command[object]]) -> str:
    """Return the script."""
    lines = [
        f"#compdef {' '.join(PROGRAMS)}",
        "# Completion of bore in zsh, made by 'bore completion zsh'.",
        "_txbore() {",
        "    local -a commands",
        "    if (( CURRENT == 2 )); then",
        "        commands=(",
        *(f"            {_quoted(f'{first}:{summary(found)}')}" for first, found in groups(commands).items()),
        f"            {_quoted(':'.join(HELP))}",
        "        )",
        "        _describe command commands",
        "        return",
        "    fi",
        "    shift words; (( CURRENT-- ))",
        '    case "$words[1]" in',
    ]
    for first, found in groups(commands).items():
        lines.append(f"        {first})")
        lines += [
            f"            {line}" for line in (_nested(found) if len(words(found[0])) > 1 else _arguments(found[0]))
        ]
        lines.append("            ;;")
    names = _quoted(f"1:COMMAND:({' '.join(groups(commands))})")
    lines += [f"        {HELP[0]})", f"            _arguments {names}", "            ;;"]
    lines += ["    esac", "}", 'if [ "$funcstack[1]" = _txbore ]; then', '    _txbore "$@"', "else"]
    lines += [f"    compdef _txbore {' '.join(PROGRAMS)}", "fi"]
    return "\n".join(lines) + "\n"


def _nested(commands: Sequence[Command[object]]) -> Iterator[str]:
    yield "if (( CURRENT == 2 )); then"
    yield "    commands=("
    yield from (f"        {_quoted(f'{words(each)[1]}:{each.summary}')}" for each in commands)
    yield "    )"
    yield "    _describe command commands"
    yield "    return"
    yield "fi"
    yield "shift words; (( CURRENT-- ))"
    yield 'case "$words[1]" in'
    for each in commands:
        yield f"    {words(each)[1]})"
        yield from (f"        {line}" for line in _arguments(each))
        yield "        ;;"
    yield "esac"


def _arguments(command: Command[object]) -> Iterator[str]:
    specs = [spec for each in flagged(command) for spec in _specs(each)]
    specs += [f"{flag}[{text}]" for short, long, text in COMMON for flag in (short, long)]
    for number, each in enumerate(option for option in command.options if option.positional):
        specs.append(f"{'*' if each.repeats else number + 1}:{each.metavar}:{_values(each)}")
    yield "_arguments \\"
    yield from (f"    {_quoted(spec)} \\" for spec in specs[:-1])
    yield f"    {_quoted(specs[-1])}"


def _specs(option: Option[object]) -> Iterator[str]:
    help = re.sub(r"([\[\]:\\])", r"\\\1", option.help)
    for flag in option.flags:
        value = "" if option.read is None else f":{option.metavar}:{_values(option)}".replace("SHA256:...", "KEY")
        yield f"{'*' if option.repeats else ''}{flag}[{help}]{value}"


def _values(option: Option[object]) -> str:
    if option.choices:
        return f"({' '.join(option.choices)})"
    return "_files" if isFile(option) else " "


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
