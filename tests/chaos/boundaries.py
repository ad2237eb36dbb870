"""The boundaries at which a process of Treadle may die, found by watching it: whatever it makes durable, and where in its code.

A boundary is a commit to the store, an append to the spool, a change that it makes to a file of the workspace, a process that it
starts, or a call that changes something in MLflow. ``install`` puts a watch into this process that either writes every boundary down,
or kills the process with SIGKILL when it reaches a certain one.
"""

import dataclasses
import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

VARIABLE = "TREADLE_TEST_CRASH"

PACKAGE = str(Path(__file__).parents[2] / "src" / "treadle")
BENEATH = {"treadle.state.store", "treadle.bundle.durable", "treadle.state.heads"}
"""Modules that act for the one that called them."""

PATHS = {"open": 0, "os.rename": 0, "os.remove": 0, "os.link": 0, "os.truncate": 0, "os.rmdir": 0, "subprocess.Popen": None}
"""Audited events that change something, with the argument that is the path."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PASSED_OVER = (".lock", ".log", "-wal", "-shm", "-journal", ".db")
CHANGING = ("create_", "log_", "set_", "delete_", "update_", "finalize_", "restore_")


@dataclass(frozen=True, order=True)
class Boundary:
    """One place in the code of one kind of process: ``site`` is a function, ``what`` it does there, ``when`` relative to that."""

    role: str
    site: str
    what: str
    when: str

    def __str__(self) -> str:
        return f"{self.role}: {self.when} {self.what} in {self.site.removeprefix('treadle.')}"


@dataclass(frozen=True)
class Plan:
    """What the watch does: write down into ``record``, or kill at ``boundary``, once in all (``mark`` is made by whoever dies)."""

    home: str
    record: str = ""
    boundary: Boundary | None = None
    mark: str = ""

    def to_json(self) -> str:
        """Return the plan as a variable of the environment carries it."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of(cls, text: str) -> "Plan":
        """Return the plan that ``to_json`` has written."""
        given = json.loads(text)
        found = given.pop("boundary")
        return cls(**given, boundary=Boundary(**found) if found else None)


class Watch:
    """Sees the boundaries that this process reaches."""

    def __init__(self, role: str, plan: Plan) -> None:
        self._role, self._plan = role, plan
        self._busy = False

    def reach(self, what: str, when: str, *, last_act: Callable[[], None] | None = None) -> None:
        """Write the boundary down, or die at it after the ``last_act``."""
        if self._busy:
            return
        self._busy = True
        try:
            site = _site(inspect.currentframe())
            if site is not None:
                self._reached(Boundary(self._role, site, what, when), last_act)
        finally:
            self._busy = False

    def _reached(self, boundary: Boundary, last_act: Callable[[], None] | None) -> None:
        if self._plan.record:
            with Path(self._plan.record).open("a") as file:
                file.write(json.dumps(dataclasses.asdict(boundary)) + "\n")
        elif boundary == self._plan.boundary and self._first():
            if last_act is not None:
                last_act()
            os.kill(os.getpid(), signal.SIGKILL)

    def _first(self) -> bool:
        try:
            os.close(os.open(self._plan.mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Hear of what the interpreter is about to do."""
        if event not in PATHS or self._busy:
            return
        at = PATHS[event]
        if at is None:
            self.reach("start of a process", "before")
        elif self._changes(event, arguments):
            self.reach(event.removeprefix("os."), "before")

    def _changes(self, event: str, arguments: tuple[Any, ...]) -> bool:
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        text = os.fsdecode(path)
        if not text.startswith(self._plan.home) or text.endswith(PASSED_OVER) or "/logs/" in text or "/metrics/" in text:
            return False
        if event != "open":
            return True
        _, mode, flags = arguments
        return bool(flags & WRITING) if isinstance(flags, int) else bool(mode and set(mode) & set("wax+"))


def _site(frame: FrameType | None) -> str | None:
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if frame.f_code.co_filename.startswith(PACKAGE) and module not in BENEATH:
            name = "treadle.serving." + Path(frame.f_code.co_filename).stem if module == "__main__" else module
            return f"{name}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return None


def install(role: str, plan: Plan) -> None:
    """Put the watch into this process, for good."""
    watch = Watch(role, plan)
    _watch_store(watch)
    _watch_spool(watch)
    if role in {"controller", "training"}:
        _watch_mlflow(watch)
    sys.addaudithook(watch.audit)


def _watch_store(watch: Watch) -> None:
    from treadle.state.store import Store

    original = Store.write

    @contextmanager
    def write(self: Store) -> Iterator[Any]:
        with original(self) as conn:
            yield conn
            watch.reach("commit", "before")
        watch.reach("commit", "after")

    Store.write = write  # type: ignore[method-assign]


def _watch_spool(watch: Watch) -> None:
    from treadle.serving import spool

    original = spool._write  # noqa: SLF001 - the system call itself

    def write(fd: int, buffer: bytes) -> None:
        watch.reach("append", "before")
        watch.reach("append", "in the middle of", last_act=lambda: original(fd, buffer[: len(buffer) // 2]))
        original(fd, buffer)
        watch.reach("append", "after")

    spool._write = write  # noqa: SLF001 - as above


def _watch_mlflow(watch: Watch) -> None:
    from treadle.registry.library import MlflowClient

    for name in dir(MlflowClient):
        if name.startswith(CHANGING) and callable(method := getattr(MlflowClient, name)):
            setattr(MlflowClient, name, _watched(watch, name, method))


def _watched(watch: Watch, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        watch.reach(name, "before")
        answer = method(*arguments, **named)
        watch.reach(name, "after")
        return answer

    return call


def role_of(argv: list[str]) -> str | None:
    """Return what kind of process was started with these arguments; None for others."""
    known = {"treadle.serving.worker": "worker", "treadle.serving.shipper": "shipper"}
    commands = {"serve": "supervisor", "loop": "controller", "train": "training"}
    named = next((known[part] for part in argv if part in known), None)
    if named is None and "treadle.cli.main" in argv:
        named = next((commands[part] for part in argv if part in commands), None)
    return named


def recorded(path: Path) -> list[Boundary]:
    """Return the boundaries that were written down, each once, in the order in which they were reached first."""
    lines = path.read_text().splitlines() if path.exists() else []
    return list(dict.fromkeys(Boundary(**json.loads(line)) for line in lines))
