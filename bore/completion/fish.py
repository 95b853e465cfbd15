"""Completion in fish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bore.commandline import Command
from bore.completion.described import COMMON, HELP, PROGRAMS, flagged, groups, isFile, summary, words


def script(commands: Sequence[Command[object]]) -> str:
    """Return the script."""
    lines = ["# Completion of bore in fish, made by 'bore completion fish'."]
    for program in PROGRAMS:
        lines.append(f"complete -c {program} -f")
        lines.append(f"complete -c {program} -n __fish_use_subcommand -a {HELP[0]} -d {_quoted(HELP[1])}")
        names = " ".join(groups(commands))
        asked = f"__fish_seen_subcommand_from {HELP[0]}; and not __fish_seen_subcommand_from {names}"
        lines.append(f"complete -c {program} -n {_quoted(asked)} -a {_quoted(names)}")
        for first, found in groups(commands).items():
            lines.append(f"complete -c {program} -n __fish_use_subcommand -a {first} -d {_quoted(summary(found))}")
            if len(words(found[0])) > 1:
                names = " ".join(words(each)[1] for each in found)
                begun = f"__fish_seen_subcommand_from {first}; and not __fish_seen_subcommand_from {names}"
                lines += [
                    f"complete -c {program} -n {_quoted(begun)} -a {words(each)[1]} -d {_quoted(each.summary)}"
                    for each in found
                ]
            for each in found:
                lines += _options(program, each)
    return "\n".join(lines) + "\n"


def _options(program: str, command: Command[object]) -> Iterator[str]:
    begun = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words(command))
    start = f"complete -c {program} -n {_quoted(begun)}"
    for option in flagged(command):
        flags = " ".join(f"-l {each[2:]}" if each.startswith("--") else f"-s {each[1:]}" for each in option.flags)
        value = ""
        if option.choices:
            value = f" -x -a {_quoted(' '.join(option.choices))}"
        elif option.read is not None:
            value = " -r -F" if isFile(option) else " -x"
        yield f"{start} {flags}{value} -d {_quoted(option.help)}"
    for option in command.options:
        if option.positional and option.choices:
            yield f"{start} -a {_quoted(' '.join(option.choices))}"
        elif option.positional and isFile(option):
            yield f"{start} -F"
    for short, long, text in COMMON:
        yield f"{start} -s {short[1:]} -l {long[2:]} -d {_quoted(text)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
