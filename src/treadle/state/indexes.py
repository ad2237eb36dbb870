"""The indexes of the tables in ``schema``. Import ``metadata`` from here to make tables: from there it knows none of these."""

from sqlalchemy import Index, text

from treadle.state.schema import consents, episodes, labels, metadata, predictions, profile_parts, turns, verdicts

__all__ = ["metadata"]

_OPEN = text("closed_at IS NULL")
_REQUEST = text("request_id IS NOT NULL")
_ENTITY = text("entity IS NOT NULL")
_FAILED = text("status = 'failed'")
_JOINED = text("joined_id IS NOT NULL")

Index("turns_open", turns.c.model, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("turns_recent", turns.c.model, turns.c.opened_at)
Index("episodes_open", episodes.c.model, episodes.c.version, episodes.c.signal, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("verdicts_of_version", verdicts.c.model, verdicts.c.version, verdicts.c.kind, verdicts.c.at)
Index("consents_on", consents.c.verdict, consents.c.at)
# Each index costs about a tenth of an insert, so one serves both questions by time: of a model and of a version.
Index("predictions_at", predictions.c.model, predictions.c.at, predictions.c.version)
Index("predictions_failed", predictions.c.model, sqlite_where=_FAILED, postgresql_where=_FAILED)
Index(
    "predictions_request", predictions.c.model, predictions.c.request_id, predictions.c.at, sqlite_where=_REQUEST, postgresql_where=_REQUEST
)
Index("predictions_entity", predictions.c.model, predictions.c.entity, predictions.c.at, sqlite_where=_ENTITY, postgresql_where=_ENTITY)
Index("labels_joined", labels.c.joined_id, sqlite_where=_JOINED, postgresql_where=_JOINED)
Index("labels_model", labels.c.model, labels.c.joined_id)
# Each database recognises the condition only as SQLAlchemy writes it for that one.
Index(
    "labels_waiting",
    labels.c.model,
    labels.c.received_at,
    sqlite_where=text("joined_id IS NULL AND expired = 0"),
    postgresql_where=text("joined_id IS NULL AND NOT expired"),
)
Index("labels_request", labels.c.model, labels.c.request_id, sqlite_where=_REQUEST, postgresql_where=_REQUEST)
Index("labels_entity", labels.c.model, labels.c.event_at, sqlite_where=_ENTITY, postgresql_where=_ENTITY)
Index(
    "profile_parts_bucket",
    profile_parts.c.model,
    profile_parts.c.version,
    profile_parts.c.profile_digest,
    profile_parts.c.bucket,
)
