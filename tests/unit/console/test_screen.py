import io

import pytest
from rich.console import Console
from rich.table import Table

from treadle.console.screen import Screen


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def screen(*, terminal: bool = False) -> tuple[Screen, io.StringIO, Clock]:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, force_terminal=terminal, width=80, highlight=False, color_system="standard" if terminal else None)
    return Screen(console, clock=clock), file, clock


def test_a_line_has_the_seconds_since_the_start_and_keeps_its_brackets() -> None:
    shown, file, clock = screen()
    clock.now += 12.34
    with shown:
        shown.line("slots [1, 2] " + "long " * 40, "bad")
        shown.line("earlier", at=clock.now - 10)
    first, second = file.getvalue().splitlines()
    assert "  12.3 s  slots [1, 2] long" in first
    assert first.count("long") == 40
    assert "   2.3 s  earlier" in second
    assert "\x1b" not in file.getvalue()


def test_a_terminal_gets_colours() -> None:
    shown, file, _ = screen(terminal=True)
    shown.line("bad news", "bad")
    assert "\x1b[31mbad news" in file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_is_drawn_on_a_terminal_alone(*, terminal: bool) -> None:
    shown, file, _ = screen(terminal=terminal)
    with shown, shown.bar("collecting [rows]") as bar:
        bar.show("collecting [rows]", 500, 400)
        shown._progress.refresh()  # noqa: SLF001 -- no need to wait for the next frame
    assert ("400/400" in file.getvalue()) is terminal
    assert ("collecting [rows]" in file.getvalue()) is terminal


def test_headlines_and_tables_stand_free() -> None:
    shown, file, _ = screen()
    shown.headline("Serving [two]")
    table = Table()
    table.add_column("quality")
    table.add_row("0.9")
    shown.table(table)
    lines = file.getvalue().splitlines()
    assert lines[0] == ""
    assert lines[1].startswith("Serving [two] ─")
    assert "" in lines[2:]
    assert "0.9" in file.getvalue()


def test_a_step_does_not_wait_where_nobody_can_press_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    shown, file, _ = screen()
    shown.explain("What comes [next].", "docs/guides/api.md")
    assert file.getvalue() == "  What comes [next].\n  docs/guides/api.md\n"


def test_a_step_stops_the_bar_while_it_waits_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "")
    shown, file, _ = screen(terminal=True)
    with shown:
        shown.explain("What comes next.", "docs/guides/api.md")
    assert "Enter to go on" in file.getvalue()
