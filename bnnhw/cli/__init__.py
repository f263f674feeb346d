"""The command line: ``bnnhw COMMAND``. Results go to standard output, progress and errors to standard error."""

from bnnhw.cli.app import main

__all__ = ["main"]
