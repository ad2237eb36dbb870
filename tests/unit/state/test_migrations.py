"""Opening a store that needs nothing costs next to nothing; the steps are numbered without a gap."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import small_bundles
from tests.small_service import Service
from treadle.state import migrations, schema
from treadle.state import store as store_module
from treadle.state.migrations import baseline, steps
from treadle.state.store import Store, open_store


def test_the_last_step_is_the_one_that_the_code_knows() -> None:
    assert [step.revision for step in steps.every()] == migrations.known()
    assert migrations.known() == [f"{number:04}" for number in range(1, int(migrations.HEAD) + 1)]


def test_the_first_step_is_what_was_before_there_were_revisions() -> None:
    assert steps.every()[0].revision == migrations.FIRST
    assert set(baseline.metadata.tables) < set(schema.metadata.tables)


def test_the_revision_is_not_among_what_can_be_emptied() -> None:
    assert migrations.NAME not in schema.metadata.tables


@pytest.mark.parametrize("there", [False, True])
def test_what_serves_does_not_load_alembic(tmp_path: Path, there: bool) -> None:  # noqa: FBT001 - whether the store is there already
    url = f"sqlite:///{tmp_path / 'state.db'}"
    if there:
        open_store(url).close()
    script = f"import sys, treadle.serving.worker as worker; worker.open_store({url!r}); sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_to_open_a_store_waits_for_no_writer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.01)
    with store.write():
        open_store(store.url).close()


def test_a_service_goes_on_over_a_store_that_it_cannot_use(tmp_path: Path) -> None:
    """A worker that starts beside a newer Treadle says so, and ends neither itself nor what asks it."""
    service = Service(tmp_path)
    service.follow(service.slot(small_bundles.answering(), 1))
    with service.store.write() as conn:
        migrations.stamp(conn, "9001")
    service.restart()
    ready = service.ask("GET", "/ready")
    assert (ready.status_code, "revision 9001" in ready.text) == (200, True)
    assert service.predict()["version"] == 1  # by what this host has followed last
    with service.store.write() as conn:
        migrations.stamp(conn, migrations.HEAD)
    service.follower.look()
    assert "revision 9001" not in service.ask("GET", "/ready").text
    assert service.predict()["version"] == 1
