"""The tables of issue 1."""

from alembic import op

from treadle.state.migrations.baseline import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all of them. A database that has them already is only stamped."""
    metadata.create_all(op.get_bind())
