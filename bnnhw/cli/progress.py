"""Stages with their times on standard error: a live line in a terminal, one line a stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Step = Callable[[str, int, int], None]
"""Called with what is being done, and how many of how many are done."""
TELL_EVERY = 60.0
"""Seconds between lines on progress where there is no terminal."""


@dataclass
class Stages:
    """Announces and times the stages of a command; ``seconds`` has them by name in order."""

    seconds: dict[str, float] = field(default_factory=dict)
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))

    @contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """A stage; what it yields may be called to show how far it is. Nothing is noted when the stage raises."""
        start = time.monotonic()
        with self.live(name) as step:
            yield step
        self.done(name, time.monotonic() - start)

    @contextmanager
    def live(self, name: str) -> Iterator[Step]:
        """A live line in a terminal, without a note at the end; elsewhere a line every TELL_EVERY seconds."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as live:
            task = live.add_task(name, total=None)
            told = time.monotonic()

            def step(what: str, done: int, total: int) -> None:
                nonlocal told
                live.update(task, description=what, completed=done, total=total or None)
                if not self.console.is_terminal and time.monotonic() - told > TELL_EVERY:
                    told = time.monotonic()
                    self.note(f"{what} ({done / total:.0%})" if total else what)

            yield step

    def done(self, name: str, seconds: float) -> None:
        """Note a stage that took ``seconds``, and tell it."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.console.print(f"[green]✓[/] {name:<18} [dim]{seconds:7.1f} s[/]")

    def note(self, text: str) -> None:
        """One line of remark."""
        self.console.print(text, markup=False, style="dim")
