"""Read what happened, and check that the record is whole: events, events_follow, events_verify, events_accept_restart."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from treadle.api.opening import Place, acting, found, opened

if TYPE_CHECKING:
    import threading

    from treadle.state.events import Event
    from treadle.state.heads import Audit

LOOK_SECONDS = 0.5


def events(
    model: str | None = None,
    *,
    since: float | str | None = None,
    kind: str | None = None,
    limit: int = 100,
    workspace: Place = None,
) -> "list[Event]":
    """Return what happened, oldest first.

    Args:
        model: name of the project; without it, of all of them.
        since: epoch seconds; or how long ago ("2h", "30d"), or a day or moment ("2026-11-20", "2026-11-20 14:00", local time).
        kind: "turn.opened", or all that begin so: "turn".
        limit: at most so many, the last ones.
        workspace: where; without it, the workspace of the current folder.

    Raises:
        MomentInvalid: ``since`` is no such text.
        ProjectNotFound: there is no such model, and never was.
    """
    from treadle.projects import find
    from treadle.state import events as chain

    begin = _moment(since)
    with opened(workspace) as (place, store):
        with store.read() as conn:
            told = chain.newest(conn, limit, model=model, since=begin, kind=kind)
        if not told and model is not None:
            find(place, model)
        return told


def events_follow(
    model: str | None = None,
    *,
    kind: str | None = None,
    after: int | None = None,
    workspace: Place = None,
    stop: "threading.Event | None" = None,
) -> "Iterator[Event]":
    """Yield each event that is recorded after number ``after`` (without it, from now on), until ``stop`` is set."""
    import threading

    from treadle.state import events as chain

    stop = stop or threading.Event()
    with opened(workspace) as (_, store):
        with store.read() as conn:
            seen = after if after is not None else chain.last_seq(conn)
        while not stop.is_set():
            with store.read() as conn:
                fresh = chain.after(conn, seen)
            for event in fresh:
                seen = event.seq
                if (model is None or event.model == model) and chain.of_kind(event, kind):
                    yield event
            stop.wait(LOOK_SECONDS)


def events_verify(*, workspace: Place = None) -> "Audit":
    """Check the record of events: each against the one before it, and all against the signed heads outside the database.

    Raises:
        ChainBroken: an event was edited or deleted, or the record was cut or written anew.
        HeadsInvalid, HeadsMissing: the same was done to the heads, or to their key.
        HeadsRestarted: the heads were lost and signed anew, and nobody has accepted that.
    """
    from treadle.state import heads
    from treadle.state.store import open_store

    # Not ``opened``: who checks changes nothing, and signs nothing.
    place = found(workspace)
    store = open_store(place.store_url)
    try:
        return heads.audit(store, place.home)
    finally:
        store.close()


def events_accept_restart(number: int, *, reason: str, workspace: Place = None) -> "Audit":
    """Accept that the signed heads of the record were lost and begin anew, so that a check passes again; it still says so.

    It is recorded with your name and signed. It counts for this loss alone: the next one must be accepted again.

    Args:
        number: of the event that tells of the loss (``audit.restarted``); ``events_verify`` names it.
        reason: why, for the record.
        workspace: where; without it, the workspace of the current folder.

    Returns:
        What a check says from now on.

    Raises:
        ReasonMissing: the reason is empty.
        RestartUnknown: no such loss waits for somebody to accept it.
        RoleMissing: you act by a key that is no admin's.
        ChainBroken, HeadsInvalid, HeadsMissing: more is wrong than that.
    """
    from treadle.state import heads

    with opened(workspace) as (place, store):
        return heads.accept(store, place.home, number, actor=acting(place, "admin").name, reason=reason, at=time.time())


def _moment(since: float | str | None) -> float | None:
    from treadle.errors import MomentInvalid
    from treadle.times import moment

    if not isinstance(since, str):
        return since
    try:
        return moment(since, time.time())
    except ValueError as error:
        raise MomentInvalid(since) from error
