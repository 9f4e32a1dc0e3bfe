"""Commands that a page shows, held against the command line as it is: parsed, and never run."""

from collections.abc import Sequence
from typing import Any

import typer.main
from typer.core import TyperGroup

from batcher.cli import app


def found(words: Sequence[str]) -> tuple[Any, list[str]]:
    """Return the command that ``words`` (without ``batcher``) name, and what is left of them.

    Raises :class:`KeyError` if there is no such command.
    """
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while isinstance(command, TyperGroup) and rest:
        command = command.commands[rest.pop(0)]
    return command, rest


def parse(words: Sequence[str]) -> None:
    """Parse ``words`` (without ``batcher``) as the command line would. Raises what that raises."""
    command, rest = found(words)
    with command.make_context(" ".join(words), rest):
        pass


def options(words: Sequence[str]) -> set[str]:
    """Return every option, in each of its spellings, of the command that ``words`` name."""
    return {name for parameter in found(words)[0].params for name in (*parameter.opts, *parameter.secondary_opts)}
