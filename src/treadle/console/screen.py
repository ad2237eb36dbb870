"""The live terminal of a long command: a line per event with its time, a progress bar below; plain lines where output is no terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.rule import Rule
from rich.table import Table

STYLES = {"good": "green", "bad": "red", "change": "yellow", "quiet": "dim", "plain": ""}


class Bar:
    """One running progress bar; a no-op where output is no terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, text: str, done: float, total: float) -> None:
        """Set what the bar says and how far it is."""
        self._progress.update(self._task, description=escape(text), completed=min(done, total), total=total)


class Screen:
    """Prints lines with the seconds since the start, headlines, bars and tables."""

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.console = console or Console(highlight=False)
        self._clock = clock
        self._began = clock()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def line(self, text: str, style: str = "plain", *, at: float | None = None) -> None:
        """Print one line: wall-clock time, seconds since the start, and the text."""
        moment = self._clock() if at is None else at
        stamp = time.strftime("%H:%M:%S", time.localtime(moment))
        colour = STYLES[style]
        body = f"[{colour}]{escape(text)}[/{colour}]" if colour else escape(text)
        self.console.print(f"[dim]{stamp} {max(moment - self._began, 0.0):6.1f} s[/dim]  {body}", soft_wrap=True)

    def headline(self, title: str) -> None:
        """Print the title of a stage."""
        self.console.print()
        self.console.print(Rule(f"[bold]{escape(title)}[/bold]", align="left", style="cyan"))

    def explain(self, sentences: str, page: str) -> None:
        """Say what comes next, and wait for Enter where somebody can press it."""
        self.console.print(f"  {escape(sentences)}", soft_wrap=True)
        self.console.print(f"  [dim]{escape(page)}[/dim]")
        if self.console.is_terminal:
            self._progress.stop()
            self.console.input("  [cyan]Enter to go on[/cyan] ")
            self._progress.start()

    def table(self, table: Table) -> None:
        """Print a table."""
        self.console.print()
        self.console.print(table)

    @contextmanager
    def bar(self, text: str) -> Iterator[Bar]:
        """Show a progress bar for as long as the block runs."""
        task = self._progress.add_task(escape(text), total=None)
        try:
            yield Bar(self._progress, task)
        finally:
            self._progress.remove_task(task)
