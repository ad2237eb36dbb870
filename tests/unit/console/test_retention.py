"""What gc and reset say."""

import io

import pytest
from rich.console import Console

from treadle.console.retention import SHOWN, cleared, facts, sentences, size, tables
from treadle.retention.collection import Collected
from treadle.retention.plan import Kept, Plan, Removal
from treadle.retention.reset import Cleared
from treadle.retention.sweep import Swept
from treadle.retention.things import Key, Thing

OLD = Thing(Key("version", "churn", "1"), 1000, 5.0)
YOUNG = Thing(Key("version", "churn", "12"), 2000, 9.0)
ROWS = Thing(Key("log", "churn", "7.0"), 500_000, 7.0, count=300)


def decided(*gone: Thing, cap: int = 0, missing: tuple[str, ...] = ()) -> Plan:
    removals = tuple(Removal(thing, "It is old.") for thing in gone)
    return Plan(removals, (Kept(YOUNG, "champion now", held=True),), 3_000_000, cap, {"bundles": 2_900_000, "spool": 0}, missing)


def drawn(done: Collected) -> str:
    console = Console(file=io.StringIO(), width=120)
    for table in tables(done):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_dry_run_says_what_goes_why_and_what_stays() -> None:
    done = Collected(decided(OLD, ROWS), None)
    shown = drawn(done)
    assert "What goes: 501 kB" in shown
    assert "log rows" in shown
    assert "300" in shown
    assert "champion now" in shown
    assert "spool" not in shown
    assert sentences(done) == "This was a dry run: nothing was removed. Without --dry-run it goes."


def test_what_was_spared_and_what_is_left_is_told() -> None:
    swept = Swept({"version": 1, "log": 300}, 501_000, [OLD.key], ["s3://bucket/run"])
    done = Collected(decided(OLD, ROWS, missing=("MLflow is away.",)), swept)
    assert "What went: 501 kB" in drawn(done)
    assert sentences(done).splitlines() == [
        "MLflow is away.",
        "version 1 of churn stays after all: something has come to need it meanwhile.",
        "Something may still lie at s3://bucket/run.",
        "The freed pages of an SQLite store are used again; --vacuum gives them back to the disk.",
    ]


def test_above_the_cap_it_says_by_how_much_and_what_holds_the_room() -> None:
    said = sentences(Collected(decided(OLD, cap=1_000_000), Swept()))
    assert "stays 2.0 MB above its cap of 1.0 MB (cap_gb)" in said
    assert "bundles 2.9 MB" in said


def test_nothing_to_do_is_said_too() -> None:
    assert sentences(Collected(decided(), Swept())) == "Nothing goes: the policies keep all that there is, or something needs it."


def test_a_script_reads_each_thing() -> None:
    told = facts(Collected(decided(OLD), None))
    assert told["removed"] is False
    (only,) = told["going"]
    assert only == {"model": "churn", "kind": "version", "name": "1", "count": 1, "bytes": 1000, "at": 5.0, "reason": "It is old."}
    assert told["staying"][0]["needed"] is True


def test_a_long_list_is_cut() -> None:
    many = [Thing(Key("bundle", f"m{number}", "d"), 1, 0.0) for number in range(SHOWN + 3)]
    assert "3 more lines" in drawn(Collected(decided(*many), None))


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (250_000, "250 kB"), (3e9, "3.0 GB"), (5e12, "5000.0 GB")]
)
def test_sizes_are_said_as_a_person_reads_them(number: float, said: str) -> None:
    assert size(int(number)) == said


def test_a_reset_says_what_has_gone_and_what_is_left() -> None:
    assert cleared(Cleared({"rows": 3, "bundles": 1}, ("downloads stays.",))) == "Reset: 3 rows, 1 bundles are gone.\ndownloads stays."
