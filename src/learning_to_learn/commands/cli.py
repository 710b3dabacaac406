"""What the commands share: exit codes, one-line errors, help, and words of the form key=value.

Exit codes: 0 all is done, 1 a job failed, 2 the request was wrong and nothing was done, 130 interrupted.
"""

import inspect
import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import click

from learning_to_learn import plugins
from learning_to_learn.errors import RunError, UserError, cause_in_a_line, unknown
from learning_to_learn.jobs.signals import INTERRUPTED, interruption

PLUGINS = "plugins"
_CONTEXT = {"help_option_names": ["-h", "--help"]}
FAILED, WRONG = 1, 2


def exit_with(main: Callable[[list[str]], int]) -> None:
    """Run a command on the shell's arguments; a UserError becomes one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # where the locale has no such character
    try:
        with interruption.owned(), interruption.ending(lambda: None):
            code = main(sys.argv[1:])
    except UserError as error:
        code = complain(str(error), FAILED if isinstance(error, RunError) else WRONG)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:  # a disk that is full, a folder that may not be read
        code = complain(cause_in_a_line(error), FAILED)
    except KeyboardInterrupt:
        interruption.tell()
        code = INTERRUPTED
    sys.exit(code)


def complain(line: str, code: int = WRONG) -> int:
    print(f"error: {line}", file=sys.stderr)
    return code


def invoke(command: click.Command, arguments: list[str], *, name: str) -> int:
    """Run a command of click's, with the plugins that are named; what it complains of becomes a UserError."""
    try:
        code = command.main(without_plugins(arguments), prog_name=f"python -m src.{name}", standalone_mode=False)
    except click.ClickException as error:
        raise UserError(f"{error.format_message().rstrip('.')}; --help says what there is") from None
    except click.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


class _AsWritten(click.Command):
    """A command whose help is its docstring, as it stands, examples and all."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        formatter.write_paragraph()
        formatter.write(textwrap.indent(inspect.cleandoc(self.help or ""), "  ") + "\n")


class Verbs(_AsWritten, click.Group):
    """A group of commands that says in our words which there are."""

    def __init__(self, *arguments: Any, what: str = "command", **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "context_settings": _CONTEXT, "no_args_is_help": False})
        self.what = what

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            raise unknown(self.what, "nothing", self.commands)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            raise unknown(self.what, args[0], self.commands)
        return super().resolve_command(ctx, args)


def command(**settings: Any) -> Callable[[Callable], click.Command]:
    """Make a function a command; its docstring is the help."""
    return click.command(cls=_AsWritten, context_settings=_CONTEXT, **settings)


def split(words: Iterable[str], keys: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The words that are no key=value, and the others as a table. Raises UserError on a key that is not among `keys`.

    A file or folder may have an = in its name.
    """
    words = list(words)
    pairs = [word for word in words if "=" in word and not os.path.exists(word)]  # noqa: PTH110 - Path's fails on a long word
    options = dict(word.split("=", 1) for word in pairs)
    for key in options:
        if key not in keys:
            raise unknown("option", key, [*keys, PLUGINS])
    return [word for word in words if word not in pairs], options


def without_plugins(words: Iterable[str]) -> list[str]:
    """Import what plugins=[...] among the words names; returns the other words."""
    rest = []
    for word in words:
        if word.startswith(f"{PLUGINS}="):
            from learning_to_learn.composing import listed

            plugins.load(listed(word))
        else:
            rest.append(word)
    return rest
