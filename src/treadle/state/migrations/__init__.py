"""How the schema changes: numbered steps in ``versions``, and a table that says which of them a database has taken.

That there is nothing to do is found by one small read, without Alembic. It is imported only where a step is taken.
"""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

HEAD = "0002"
"""The last step that this Treadle knows; the tables of ``schema`` are those that it leads to."""

FIRST = "0001"
"""The tables of issue 1, which were made before there were revisions."""

FOLDER = Path(__file__).parent / "versions"

NAME = "treadle_revision"
"""Not Alembic's own name: MLflow keeps its revision under that one, perhaps in the same database."""

revision_table = Table(
    NAME, MetaData(), Column("version_num", String(32), nullable=False), PrimaryKeyConstraint("version_num", name=f"{NAME}_pkc")
)
"""None of ``schema.metadata``: to empty the state does not change its schema."""


def current(conn: Connection) -> str | None:
    """Return the revision of a database; None where it has none, because it is empty or older than revisions are."""
    if not inspect(conn).has_table(NAME):
        return None
    return conn.execute(select(revision_table.c.version_num)).scalar()


def stamp(conn: Connection, revision: str) -> None:
    """Record that the database is at ``revision``."""
    revision_table.create(conn, checkfirst=True)
    conn.execute(revision_table.delete())
    conn.execute(insert(revision_table).values(version_num=revision))


def known() -> list[str]:
    """Return every revision of this Treadle, in order: each file of a step begins with its own."""
    return sorted(path.stem.split("_")[0] for path in FOLDER.glob("[0-9]*.py"))
