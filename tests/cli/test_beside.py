"""Functions that run in a process beside the command: results, errors, and that none outlives its block."""

from __future__ import annotations

import os
import time

import pytest

from bnnhw.cli.beside import beside
from bnnhw.errors import BnnhwError


def test_result() -> None:
    with beside(divmod, 17, 5) as result:
        assert result() == (3, 2)


def test_its_error_is_raised_where_it_is_waited_for() -> None:
    with beside(divmod, 17, 0) as result, pytest.raises(ZeroDivisionError):
        result()


def test_a_process_that_dies_is_told() -> None:
    with beside(os._exit, 3) as result, pytest.raises(BnnhwError, match="_exit must come to an end.*status 3"):
        result()


def test_what_is_not_awaited_ends_with_the_block() -> None:
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), beside(time.sleep, 600):
        raise KeyboardInterrupt
    assert time.monotonic() - start < 60
