"""Completion in bash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bore.commandline import Command
from bore.completion.described import COMMON, HELP, PROGRAMS, flagged, groups, isFile, words


def script(commands: Sequence[Command[object]]) -> str:
    """Return the script."""
    lines = [
        "# Completion of bore in bash, made by 'bore completion bash'.",
        "_txbore() {",
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}",
        '    local line="${COMP_WORDS[*]:1:COMP_CWORD-1} " flags="" values="" files="" choices="" others=""',
        "    COMPREPLY=()",
        '    case "$line" in',
        *_cases(commands),
        "    esac",
        '    if [[ " $choices" == *" $previous="* ]]; then',
        '        choices=${choices#*"$previous="}',
        "        choices=${choices%% *}",
        '        COMPREPLY=($(compgen -W "${choices//,/ }" -- "$current"))',
        '    elif [[ " $files " == *" $previous "* || ( $others == FILE && $current != -* ) ]]; then',
        "        local IFS=$'\\n'",
        "        compopt -o filenames 2> /dev/null",
        '        COMPREPLY=($(compgen -f -- "$current"))',
        '    elif [[ " $values " == *" $previous "* ]]; then',
        "        return",
        "    elif [[ $current == -* ]]; then",
        '        COMPREPLY=($(compgen -W "$flags" -- "$current"))',
        "    else",
        '        COMPREPLY=($(compgen -W "$others" -- "$current"))',
        "    fi",
        "}",
        f"complete -F _txbore {' '.join(PROGRAMS)}",
    ]
    return "\n".join(lines) + "\n"


def _cases(commands: Sequence[Command[object]]) -> Iterator[str]:
    for command in commands:
        yield f"        '{' '.join(words(command))} '*)"
        options = flagged(command)
        flags = [flag for each in options for flag in each.flags]
        flags += [flag for short, long, _ in COMMON for flag in (short, long)]
        yield f'            flags="{" ".join(flags)}"'
        valued = [each for each in options if each.read is not None]
        files = [flag for each in valued if isFile(each) for flag in each.flags]
        choices = [f"{flag}={','.join(each.choices)}" for each in valued if each.choices for flag in each.flags]
        plain = [flag for each in valued if not isFile(each) and not each.choices for flag in each.flags]
        for name, found in (("files", files), ("choices", choices), ("values", plain)):
            if found:
                yield f'            {name}="{" ".join(found)}"'
        positional = [each for each in command.options if each.positional]
        if positional and (isFile(positional[0]) or positional[0].choices):
            yield f'            others="{" ".join(positional[0].choices) or "FILE"}"'
        yield "            ;;"
    grouped = groups(commands)
    for first, members in grouped.items():
        if len(words(members[0])) > 1:
            yield f"        '{first} ') others=\"{' '.join(words(each)[1] for each in members)}\" ;;"
    yield f"        '{HELP[0]} ') others=\"{' '.join(grouped)}\" ;;"
    yield f"        ' ' | '') others=\"{' '.join(grouped)} {HELP[0]}\" flags=\"--help --version --reactor\" ;;"
