"""The tables of the state store, the same on SQLite and Postgres. Times are epoch seconds, JSON is canonical text.

Their indexes are in ``indexes``: only who makes the tables needs them, and to declare them loads what SQLAlchemy knows of each database.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, LargeBinary, MetaData, Table, Text, false

metadata = MetaData()

deployment = Table(
    "deployment",
    metadata,
    Column("model", Text, primary_key=True),
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("slots", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("verdict", Text),
    Column("actor", Text, nullable=False),
    Column("at", Double, nullable=False),
)
"""Which version has which role: insert-only, the highest generation of a model counts."""

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("model", Text),
    Column("actor", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""What happened: insert-only, each row's hash covers the row and the hash before it."""

turns = Table(
    "turns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("episode", Text),
    Column("step", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("outcome", Text),
    Column("reason", Text),
)

episodes = Table(
    "episodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("signal", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("onset", Double, nullable=False),
    Column("closed_at", Double),
    Column("outcome", Text),
    Column("evidence", Text, nullable=False),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("at", Double, nullable=False),
)

consents = Table(
    "consents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at", Double, nullable=False),
)
"""What people have said about a version that the gate let pass: insert-only."""

pauses = Table(
    "pauses",
    metadata,
    Column("model", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("paused", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Double, nullable=False),
)
"""Whether a person has stopped the loop of a model: insert-only, the highest number of a model counts."""

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("expires", Double, nullable=False),
)

predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("status", Text, nullable=False),
    Column("error", Text),
    Column("request_id", Text),
    Column("entity", Text),
    Column("row", LargeBinary),
    Column("scores", LargeBinary),
    Column("answer", Text),
    Column("fallback", Boolean, nullable=False),
)
"""What was predicted: one row per answered row; ``row`` and ``scores`` are little-endian float32."""

labels = Table(
    "labels",
    metadata,
    Column("label_id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("prediction_id", Text),
    Column("request_id", Text),
    Column("entity", Text),
    Column("value", Text, nullable=False),
    Column("event_at", Double, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("joined_id", Text),
    Column("expired", Boolean, nullable=False, server_default=false()),
)
"""What turned out to be true. ``joined_id`` is the prediction that the label was found to belong to."""

segments = Table(
    "segments",
    metadata,
    Column("segment", Text, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("sealed", Boolean, nullable=False),
    Column("at", Double, nullable=False),
)
"""How far each spool segment has been shipped."""

profile_parts = Table(
    "profile_parts",
    metadata,
    Column("segment", Text, primary_key=True),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("profile_digest", Text, primary_key=True),
    Column("bucket", Double, primary_key=True),
    Column("counts", LargeBinary, nullable=False),
    Column("rows", BigInteger, nullable=False),
)
"""Parts of the live profile: the key names the shipped bytes, or no segment once they were merged (``compaction``)."""
