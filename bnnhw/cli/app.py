"""The ``bnnhw`` command: finds its sub-commands, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from bnnhw import __version__
from bnnhw.errors import BnnhwError

COMMANDS = {
    "models": ("bnnhw.cli.catalogue", "Shipped networks."),
    "boards": ("bnnhw.cli.catalogue", "Boards a network can be built for."),
    "train": ("bnnhw.cli.obtain", "Train a network by a recipe and save it (extra: torch)."),
    "import": ("bnnhw.cli.obtain", "Turn a checkpoint into a saved network (extra: torch)."),
    "compile": ("bnnhw.cli.compile", "Schedule, memory images and predicted cycles; takes seconds."),
    "sim": ("bnnhw.cli.sim", "Run images on a model of the hardware and compare all scores."),
    "eval": ("bnnhw.cli.evaluate", "Accuracy of the integer network, and of torch beside it."),
    "build": ("bnnhw.cli.build", "From network to bitstream: compile, simulate, place and route, report."),
    "report": ("bnnhw.cli.report", "Render the HTML report of a build again."),
    "run": ("bnnhw.cli.run", "Run images on a board."),
    "explore": ("bnnhw.cli.explore", "Search array shapes for a network on a board."),
}
"""Module of each command and its line of help. Modules are imported when their command runs: help stays instant."""

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class _Commands(click.Group):
    """The commands of COMMANDS, in that order."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if cmd_name in ("import", "eval") else cmd_name
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            raise click.UsageError(f"command must be one of {', '.join(COMMANDS)}, not '{args[0]}'")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="bnnhw")
def cli() -> None:
    """A trained binary neural network becomes verified FPGA hardware."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 a comparison failed, 2 bad input, 130 interrupted."""
    if hasattr(signal, "SIGTERM") and arguments is None:
        signal.signal(signal.SIGTERM, _terminated)
    try:
        result = cli.main(args=None if arguments is None else list(arguments), prog_name="bnnhw", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_BAD_INPUT
    except click.ClickException as error:
        return _complain(error.format_message())
    except BnnhwError as error:
        return _complain(str(error), getattr(error, "exit_code", EXIT_BAD_INPUT))
    except BrokenPipeError:
        sys.stdout = None  # the reader left; flushing at exit would fail again
        return 1
    except OSError as error:
        return _complain(f"{error.filename or 'a file'}: {error.strerror or error}")
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED


def _complain(message: str, code: int = EXIT_BAD_INPUT) -> int:
    line = " ".join(message.split("\n"))
    click.echo(f"error: {line}", err=True)
    return code


def _terminated(number: int, frame: FrameType | None) -> None:
    """Unwind as after Ctrl-C, so that nothing half-written stays."""
    raise KeyboardInterrupt
