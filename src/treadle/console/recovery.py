"""What `treadle backup` and `treadle restore` show."""

from typing import TYPE_CHECKING, Any

from treadle.console.diary import counted
from treadle.console.retention import size
from treadle.recovery.manifest import Manifest
from treadle.times import when

if TYPE_CHECKING:
    from treadle.recovery.backup import Made
    from treadle.recovery.restore import Restored


def made(done: "Made") -> str:
    """Return what a backup holds and what it does not."""
    told = done.manifest
    lines = [
        f"Backup {done.folder}: {len(told.files)} files, {size(told.size)}, in {done.seconds:.1f} s.",
        f"{held(told)} What came after is not in it.",
        _chain(told),
        *(f"Damaged already: {line}" for line in told.damaged),
        *(f"Not in it: {line}." for line in told.left_out),
    ]
    return "\n".join(lines)


def restored(done: "Restored") -> str:
    """Return what was restored and what was not."""
    told = done.manifest
    spool = " The next `treadle serve` brings what lies in the spool into the store." if told.waiting.total else ""
    audit = done.audit
    lines = [
        f"Restored into {done.root} in {done.seconds:.1f} s, from a backup by {told.by}.",
        f"{held(told)} What came after is not in it.{spool}",
        f"The {audit.events} events follow from each other and pass through {audit.heads} signed heads." if audit else _chain(told),
        *(f"Kept: {line}." for line in done.kept),
        *(f"Damaged already when it was made: {line}" for line in told.damaged),
        *(f"Not restored: {line}." for line in [*told.left_out, *done.left_out]),
    ]
    return "\n".join(lines)


def held(told: Manifest) -> str:
    """Return what a backup holds, as of when, in a sentence."""
    rows, spool = told.rows, told.waiting
    return (
        f"As of {when(told.as_of)}: {counted(rows.get('predictions', 0), 'prediction')}, {counted(rows.get('labels', 0), 'label')}, "
        f"{spool.total} in the spool."
    )


def made_facts(done: "Made") -> dict[str, Any]:
    """Return a backup as a script reads it."""
    return {"folder": done.folder, "seconds": done.seconds, **_facts(done.manifest)}


def restored_facts(done: "Restored") -> dict[str, Any]:
    """Return a restore as a script reads it."""
    audit = {"events": done.audit.events, "heads": done.audit.heads} if done.audit else None
    told = _facts(done.manifest)
    told["left_out"] = [*done.manifest.left_out, *done.left_out]
    return {"root": done.root, "home": done.home, "seconds": done.seconds, "audit": audit, "kept": done.kept, **told}


def _facts(told: Manifest) -> dict[str, Any]:
    return {
        "id": told.id,
        "as_of": told.as_of,
        "by": told.by,
        "treadle": told.treadle,
        "revision": told.revision,
        "rows": told.rows,
        "spool": {"predictions": told.waiting.predictions, "labels": told.waiting.labels, "others": told.waiting.others},
        "last_event": told.last.seq,
        "trouble": told.trouble,
        "files": len(told.files),
        "bytes": told.size,
        "damaged": told.damaged,
        "left_out": told.left_out,
    }


def _chain(told: Manifest) -> str:
    if told.trouble:
        return f"The record of events was in trouble when the backup was made, and is kept as it is: {told.trouble}"
    return f"The record of events is whole, up to number {told.last.seq}."
