"""The one family of errors a caller can cause; the command line prints them as one line and exits with 2."""


class BnnhwError(Exception):
    """Bad input. The message names what is wrong, where, and what would be right, in one line."""


class FileFormatError(BnnhwError):
    """A file is not what it claims to be: truncated, tampered with, of another version or kind."""


class UnsupportedError(BnnhwError):
    """A network asks for something the compiler does not lower; names the layer by its path."""


class DoesNotFitError(BnnhwError):
    """A network needs more of a board's resource than there is; names the resource, the need and the limit."""


class UnsteadyError(BnnhwError):
    """On this shape, at this clock, frames never come to take equally many cycles."""
