"""A store of any age becomes one of today: every row stays, whoever is at work goes on, and what fails leaves no trace."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, MetaData, func, inspect, select, text

from tests.integration.state.while_upgrading import Going, read, write
from tests.integration.state.writers import Pair, make_tables
from tests.old_stores import fill, rows, shape
from tests.unit.state.rows import prediction
from treadle.errors import SchemaNewer, SchemaUnknown, UpgradeFailed
from treadle.state import consents, deployments, events, indexes, log, migrations, pauses, schema
from treadle.state.migrations import steps
from treadle.state.store import Store, open_store

pytestmark = pytest.mark.integration

EVENTS = 13
"""How many events the store of issue 1 holds."""

NEXT, AFTER = (f"{int(migrations.HEAD) + number:04}" for number in (1, 2))

ADDS = """
    op.add_column("predictions", sa.Column("region", sa.Text))
    op.add_column("predictions", sa.Column("weight", sa.Double, nullable=False, server_default=sa.text("1.0")))
    op.execute("UPDATE predictions SET region = 'north'")
    op.create_index("predictions_region", "predictions", ["model", "region"])
    op.add_column("labels", sa.Column("region", sa.Text))
    op.create_table("regions", sa.Column("name", sa.Text, primary_key=True))
"""

FAILS = """
    op.create_table("half", sa.Column("name", sa.Text, primary_key=True))
    op.execute("DELETE FROM labels")
    op.execute("INSERT INTO leases SELECT * FROM leases")
"""

AddStep = Callable[[str, str], None]
Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def add_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddStep:
    """Return what adds a step after the real ones: its revision, and what it does."""
    folder = tmp_path / "steps" / "versions"
    folder.mkdir(parents=True)
    for path in migrations.FOLDER.glob("[0-9]*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(migrations, "FOLDER", folder)

    def add(revision: str, does: str) -> None:
        head = f'import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = "{revision}", "{int(revision) - 1:04}"\n'
        (folder / f"{revision}_step.py").write_text(f"{head}def upgrade():\n    pass\n{does}", encoding="utf-8")
        monkeypatch.setattr(migrations, "HEAD", revision)

    return add


@pytest.fixture
def old(store_url: str) -> Iterator[Store]:
    """Yield the store of issue 1, with its rows."""
    store = fill(store_url)
    yield store
    store.close()


def everything(store: Store) -> tuple[dict[str, Any], Rows]:
    """Return what the database is made of and all that is in it."""
    with store.read() as conn:
        return shape(conn), rows(conn)


def missing(store: Store) -> str:
    """Return what a step would have to do to bring the database to the tables of the code; empty where there is nothing."""
    with store.read() as conn:
        context = MigrationContext.configure(conn, opts={"version_table": migrations.NAME, "compare_server_default": True})
        lacking = produce_migrations(context, indexes.metadata).upgrade_ops
        return "" if lacking is None or lacking.is_empty() else str(render_python_code(lacking))


# what becomes of a database


def test_an_empty_database_gets_all_tables_and_the_last_revision(store_url: str) -> None:
    store = open_store(store_url)
    with store.read() as conn:
        assert set(inspect(conn).get_table_names()) == {*schema.metadata.tables, migrations.NAME}
    assert store.revision() == migrations.HEAD
    store.close()


def test_the_store_of_issue_1_is_upgraded_with_every_row(old: Store) -> None:
    _, before = everything(old)
    assert len(before) == 10
    assert all(before.values()), "a row or more in every table"
    old.create()
    _, after = everything(old)
    assert {name: after[name] for name in before} == before
    assert old.revision() == migrations.HEAD
    with old.read() as conn:
        assert events.verify(conn) == EVENTS


def test_the_upgraded_store_of_issue_1_goes_on(old: Store) -> None:
    old.create()
    with old.write() as conn:
        present = deployments.require(conn, "churn")
        deployments.rollback(conn, "churn", expected=present.generation, reason="Back.", at=2e9, to=1)
        log.insert_predictions(conn, [prediction("new")])
        pauses.turn(conn, "churn", paused=True, reason="A test.", actor="ana", at=2e9)
    with old.read() as conn:
        assert events.verify(conn) > EVENTS
        assert deployments.require(conn, "churn").generation == 3
        assert log.totals(conn, "churn")["rows"] == 4
        assert len(log.labelled(conn, "churn", since=0.0, until=2e9, n_features=3, n_scores=2)) == 2


@pytest.mark.parametrize("made", [["consents", "pauses"], ["consents"], []])
def test_a_store_from_before_there_were_revisions_may_have_the_tables_of_a_step(old: Store, made: list[str]) -> None:
    with old.write() as conn:
        schema.metadata.create_all(conn, [schema.metadata.tables[name] for name in made])
        if "pauses" in made:
            conn.execute(schema.pauses.insert().values(model="churn", number=1, paused=True, reason="A test.", actor="ana", at=1.0))
    _, before = everything(old)
    old.create()
    _, after = everything(old)
    assert {name: after[name] for name in before} == before
    assert missing(old) == ""


def test_a_store_at_the_last_revision_is_left_alone(old: Store) -> None:
    old.create()
    before = everything(old)
    old.create()
    assert everything(old) == before


def test_a_store_that_has_taken_some_steps_takes_the_rest(old: Store, add_step: AddStep) -> None:
    old.create()
    add_step(NEXT, ADDS)
    old.create()
    assert old.revision() == NEXT
    with old.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM predictions WHERE region = 'north' AND weight = 1.0")).scalar() == 4


def test_a_store_of_a_newer_treadle_is_refused_and_left_alone(old: Store) -> None:
    with old.write() as conn:
        migrations.stamp(conn, "9001")
    before = everything(old)
    with pytest.raises(SchemaNewer, match=f"revision 9001, and this Treadle knows none after {migrations.HEAD}") as caught:
        old.create()
    assert "pip install --upgrade treadle" in caught.value.fix
    assert everything(old) == before


def test_who_had_the_store_open_before_it_was_upgraded_goes_on(old: Store) -> None:
    old.create()
    with old.write() as conn:
        migrations.stamp(conn, "9001")
    old.close()
    old.create()
    with old.write() as conn:
        assert events.append(conn, "thing.happened", at=2e9, data={}).seq == EVENTS + 1
    assert old.revision() == "9001"


def test_tables_of_somebody_else_are_refused_and_left_alone(store_url: str) -> None:
    store = Store(store_url)
    with store.write() as conn:
        conn.execute(text("CREATE TABLE events (id INTEGER PRIMARY KEY, name TEXT)"))
    before = everything(store)
    with pytest.raises(SchemaUnknown, match=r"events has no seq, at, kind.*no table leases"):
        store.create()
    assert everything(store) == before
    store.close()


# what fails


def test_a_step_that_fails_leaves_everything_as_it_was(old: Store, add_step: AddStep) -> None:
    add_step(NEXT, ADDS)
    add_step(AFTER, FAILS)
    before = everything(old)
    with pytest.raises(UpgradeFailed) as caught:
        old.create()
    assert everything(old) == before
    assert f"from revision 0001 failed at {AFTER}" in caught.value.what
    assert "unique constraint" in caught.value.what.lower()
    assert "`treadle doctor`" in caught.value.fix
    add_step(AFTER, "")
    old.create()
    assert old.revision() == AFTER


def test_a_step_with_a_mistake_leaves_everything_as_it_was(old: Store, add_step: AddStep) -> None:
    add_step(NEXT, f"{ADDS}    raise LookupError('no such region')\n")
    before = everything(old)
    with pytest.raises(UpgradeFailed, match=f"failed at {NEXT}: LookupError: no such region"):
        old.create()
    assert everything(old) == before


def test_a_process_that_is_killed_in_a_step_leaves_everything_as_it_was(store_url: str, old: Store, add_step: AddStep) -> None:
    add_step(NEXT, f"{ADDS}    print('half way', flush=True)\n    import time\n    time.sleep(60)\n")
    before = everything(old)
    script = f"""
        from pathlib import Path
        from treadle.state import migrations, store
        migrations.FOLDER, migrations.HEAD = Path({str(migrations.FOLDER)!r}), {NEXT!r}
        store.open_store({store_url!r})
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half way\n"
        os.kill(process.pid, signal.SIGKILL)
    assert everything(old) == before
    add_step(NEXT, ADDS)
    old.create()
    assert old.revision() == NEXT


# who is at work


def test_two_that_come_at_once_upgrade_it_once(store_url: str, old: Store) -> None:
    pair = Pair()
    try:
        assert sorted(pair.run(make_tables, store_url)) == [EVENTS + 1, EVENTS + 2]
    finally:
        pair.close()
    assert old.revision() == migrations.HEAD


def test_who_writes_and_reads_with_the_old_columns_goes_on(store_url: str, old: Store, add_step: AddStep) -> None:
    with old.write() as conn:
        for begin in range(0, 20_000, 1000):
            log.insert_predictions(
                conn, [prediction(f"b-{number}", model="iris", at=float(number)) for number in range(begin, begin + 1000)]
            )
    add_step(NEXT, ADDS)
    with Going(write, store_url) as writer, Going(read, store_url) as reader:
        open_store(store_url).close()
        written, seen = writer.end(), reader.end()
    assert (written.trouble, seen.trouble) == ("", "")
    assert old.revision() == NEXT
    with old.read() as conn:
        assert events.verify(conn) == EVENTS + written.times
        assert log.totals(conn, "iris")["rows"] == 1 + 20_000
        assert log.totals(conn, "churn")["rows"] == 3 + 10 * written.times
        assert conn.execute(select(func.count()).select_from(schema.labels)).scalar() == 5 + written.times
        # What was there before the step has what it was given, what came later has none.
        counted = conn.execute(text("SELECT COALESCE(region, 'none') AS region, count(*) AS rows FROM predictions GROUP BY 1"))
        regions: dict[str, int] = {row.region: row.rows for row in counted}
    assert regions["north"] + regions["none"] == 4 + 20_000 + 10 * written.times
    assert regions["none"] >= 10 * 4


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
def test_who_uses_one_table_and_then_another_is_waited_for(old: Store, add_step: AddStep) -> None:
    """The step wants both tables: held one by one, the two would wait for each other, and Postgres would end one of them."""
    add_step(NEXT, ADDS)
    upgrade = threading.Thread(target=old.create)
    with old.read() as conn:
        assert conn.execute(select(func.count()).select_from(schema.labels)).scalar() == 5
        upgrade.start()
        time.sleep(1.5)  # longer than Postgres takes to see a circle
        assert conn.execute(select(func.count()).select_from(schema.predictions)).scalar() == 4
        assert conn.execute(select(func.count()).select_from(schema.deployment)).scalar() == 3
    upgrade.join(30)
    assert old.revision() == NEXT


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
def test_who_uses_the_tables_for_too_long_is_told_of(old: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "TABLES_SECONDS", 0.5)
    with old.read() as conn:
        conn.execute(select(func.count()).select_from(schema.predictions))
        with pytest.raises(UpgradeFailed, match=r"in use for 0\.5 seconds"):
            old.create()
    assert old.revision() is None
    old.create()
    assert old.revision() == migrations.HEAD


def test_mlflow_may_have_the_same_database(old: Store) -> None:
    """Each keeps its own revision, and no table or index of the one has the name of one of the other."""
    from mlflow.store.tracking.dbmodels.models import Base

    assert not _names(Base.metadata) & {*_names(indexes.metadata), migrations.NAME}
    with old.write() as conn:
        conn.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        conn.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    old.create()
    assert everything(old)[1]["alembic_version"] == [("theirs",)]


def _names(metadata: MetaData) -> set[str]:
    return {*metadata.tables, *(str(index.name) for table in metadata.tables.values() for index in table.indexes)}


# the steps and the tables of the code


def test_the_steps_lead_to_the_tables_of_the_code(store_url: str) -> None:
    fresh = open_store(store_url)
    as_the_code_says, _ = everything(fresh)
    with fresh.write() as conn:
        for table in reversed(schema.metadata.sorted_tables):
            table.drop(conn)
        migrations.revision_table.drop(conn)
    with fresh.write() as conn, Operations.context(MigrationContext.configure(conn)):
        for step in [steps.every()[0], *steps.pending(migrations.FIRST)]:
            step.module.upgrade()
        migrations.stamp(conn, migrations.HEAD)
    assert missing(fresh) == "", "add this to a step of its own (docs/architecture/state.md)"
    assert everything(fresh)[0] == as_the_code_says
    fresh.close()


def test_the_upgraded_store_of_issue_1_has_the_tables_of_the_code(old: Store) -> None:
    old.create()
    upgraded, _ = everything(old)
    assert missing(old) == "", "add this to a step of its own (docs/architecture/state.md)"
    with old.write() as conn:
        for name in inspect(conn).get_table_names():
            conn.execute(text(f"DROP TABLE {name}"))
    old.create()
    assert everything(old)[0] == upgraded


def _baseline(before: Rows, after: Rows, _conn: Connection) -> None:
    assert {name: after[name] for name in before} == before


def _consents_and_pauses(before: Rows, after: Rows, conn: Connection) -> None:
    assert {name: after[name] for name in before} == before
    assert after["consents"] == after["pauses"] == []
    assert consents.on(conn, "v-1") == []


ROWS = {"0001": _baseline, "0002": _consents_and_pauses}
"""What each step does to the rows of the store of issue 1, which has taken those before it."""


@pytest.mark.parametrize("revision", [step.revision for step in steps.every()])
def test_what_each_step_does_to_rows(old: Store, monkeypatch: pytest.MonkeyPatch, revision: str) -> None:
    assert revision in ROWS, f"write what step {revision} does to rows, as a function in ROWS"
    numbers = [step.revision for step in steps.every()]
    if revision != migrations.FIRST:
        monkeypatch.setattr(migrations, "HEAD", numbers[numbers.index(revision) - 1])
        old.create()
    _, before = everything(old)
    monkeypatch.setattr(migrations, "HEAD", revision)
    old.create()
    with old.read() as conn:
        after = rows(conn)
        before.pop(migrations.NAME, None)
        assert after.pop(migrations.NAME) == [(revision,)]
        ROWS[revision](before, after, conn)
