"""The folder in which the workers keep the numbers that Prometheus reads: what the process that keeps them running needs to know of it.

That process loads no library of metrics: it would start later, and every worker after it.
"""

from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def forget(pid: int, *, folder: Path) -> None:
    """Take out what counts only as long as a worker lives, of one that has ended."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - not for a start

    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
