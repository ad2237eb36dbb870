"""Whether this machine and these settings can carry a workspace: ``treadle doctor``. Each check says what to do."""

import importlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator

from treadle.bundle.place import BundlePlace
from treadle.checking.outcome import Outcome, Status
from treadle.errors import TreadleError
from treadle.projects import find, names
from treadle.settings import Workspace
from treadle.spec import MirrorSource
from treadle.state import deployments
from treadle.state.store import open_store

GIGABYTE = 1_000_000_000
LITTLE_DISK, NO_DISK = 5 * GIGABYTE, GIGABYTE // 5
LITTLE_MEMORY = 2 * GIGABYTE

SERVES = ("fastapi", "onnxruntime", "sqlalchemy", "uvicorn")
TRAINS = ("mlflow", "dvc", "sklearn", "lightgbm", "xgboost", "skl2onnx")
INSTALL = 'Install it with `pip install "treadle[train]"`, or run `make setup` in a clone.'


def examine(workspace: Workspace | None) -> list[Outcome]:
    """Return what was found, a row per check: of the machine and, where there is one, of a workspace.

    Nothing is changed but what opening the store makes.
    """
    found = [outcome for check in MACHINE for outcome in check()]
    if workspace is None:
        fix = "`treadle init NAME --from FILE --target COLUMN` makes this folder one."
        return [*found, Outcome("workspace", "warning", "neither this folder nor one above it holds a treadle.toml", fix)]
    return found + [outcome for check in WORKSPACE for outcome in check(workspace)]


def python() -> Iterator[Outcome]:
    """Tell which Python runs, and from where."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Outcome("python", "ok", f"{version} in {sys.prefix}")


def cores() -> Iterator[Outcome]:
    """Check that there is room for a worker beside the rest, and memory for a training."""
    count, memory = os.cpu_count() or 1, _memory()
    status: Status = "warning" if memory < LITTLE_MEMORY else "ok"
    fix = "Set TREADLE_WORKERS=1, and train on fewer rows." if status == "warning" else ""
    yield Outcome("machine", status, f"{count} cores, {_gigabytes(memory)} of memory", fix)


def libraries() -> Iterator[Outcome]:
    """Check that what serves and what trains can be imported, which also finds libraries of the system that are missing."""
    for name, modules in (("serving libraries", SERVES), ("training libraries", TRAINS)):
        broken = {module: problem for module in modules if (problem := _import_problem(module))}
        if broken:
            yield Outcome(name, "failed", "; ".join(f"{module}: {problem}" for module, problem in broken.items()), INSTALL)
        else:
            yield Outcome(name, "ok", ", ".join(modules))


def disk(workspace: Workspace) -> Iterator[Outcome]:
    """Check that the folder of all state can be written and has room."""
    home = workspace.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / ".doctor"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        yield Outcome("disk", "failed", f"{home} cannot be written: {error.strerror}", "Name another folder with TREADLE_HOME.")
        return
    free = shutil.disk_usage(home).free
    status: Status = "failed" if free < NO_DISK else "warning" if free < LITTLE_DISK else "ok"
    fix = "" if status == "ok" else "`treadle gc --dry-run` shows what could go; TREADLE_HOME names another disk."
    yield Outcome("disk", status, f"{_gigabytes(free)} free under {home}", fix)


def ports(workspace: Workspace) -> Iterator[Outcome]:
    """Check that the ports of the settings are free, or held by this workspace's own service."""
    settings = workspace.settings
    for setting in ("port", "controller_port", "tracking_port"):
        port = getattr(settings, setting)
        if port == 0:
            yield Outcome(setting, "ok", "0: a free one is taken")
        elif _is_free(settings.host, port):
            yield Outcome(setting, "ok", f"{port} of {settings.host} is free")
        else:
            fix = f"If that is not your own service, set TREADLE_{setting.upper()} to another port; 0 takes a free one."
            yield Outcome(setting, "warning", f"something listens on {port} of {settings.host} already", fix)


def mirror(workspace: Workspace) -> Iterator[Outcome]:
    """Check that the mirror of public data is there and has the files that contracts name."""
    folder = workspace.data_mirror
    if folder is None:
        how = "downloaded" if not workspace.settings.offline else "simulated where a project can"
        yield Outcome("data mirror", "ok", f"none is named; public data are {how}")
        return
    if not folder.is_dir():
        fix = "Correct TREADLE_DATA_MIRROR, or data_mirror in treadle.toml."
        yield Outcome("data mirror", "failed", f"there is no folder {folder}", fix)
        return
    contracts = [find(workspace, name).contract for name in _readable(workspace)]
    wanted = {source.file for contract in contracts for source in contract.data if isinstance(source, MirrorSource)}
    missing = sorted(name for name in wanted if not (folder / name).is_file())
    if missing:
        yield Outcome("data mirror", "warning", f"{folder} lacks {', '.join(missing)}", "Copy them there, or let them be downloaded.")
    else:
        yield Outcome("data mirror", "ok", f"{folder}, with {', '.join(sorted(wanted)) or 'no file that a contract asks for'}")


def projects(workspace: Workspace) -> Iterator[Outcome]:
    """Check that every contract can be read."""
    known = names(workspace)
    if not known:
        fix = "`treadle init NAME --from FILE --target COLUMN` drafts one from a table."
        yield Outcome("projects", "warning", f"there is none in {workspace.projects_dir}", fix)
    for name in known:
        try:
            find(workspace, name)
        except TreadleError as error:
            yield Outcome(f"project {name}", "failed", error.sentence, error.fix)
        else:
            yield Outcome(f"project {name}", "ok", f"its contract is valid; `treadle check {name}` tries the rest")


def state(workspace: Workspace) -> Iterator[Outcome]:
    """Check that the store can be opened, and that every bundle with a role is there, byte for byte."""
    try:
        store = open_store(workspace.store_url)
        with store.read() as conn:
            current = deployments.current_all(conn)
        revision = store.revision()
        store.close()
    except TreadleError as error:
        yield Outcome("state store", "failed", error.sentence, error.fix)
        return
    yield Outcome("state store", "ok", f"{store.url}, schema {revision}, {len(current)} deployed models")
    place = BundlePlace.of(workspace)
    for model, deployment in sorted(current.items()):
        for slot in deployment.slots:
            try:
                place.get(slot.digest)
            except TreadleError as error:
                yield Outcome(f"bundle of {model} v{slot.version}", "failed", error.sentence, error.fix)
            else:
                yield Outcome(f"bundle of {model} v{slot.version}", "ok", f"{slot.digest[:12]}, every byte as it was sealed")


def shared(workspace: Workspace) -> Iterator[Outcome]:
    """Check that the place that hosts share can be asked, where the settings name one."""
    place = BundlePlace.of(workspace)
    if place.remote is None:
        return
    try:
        count = len(place.digests_shared())
    except TreadleError as error:
        yield Outcome("shared place", "failed", error.sentence, error.fix)
    else:
        yield Outcome("shared place", "ok", f"{workspace.settings.remote_url}, bundles in it: {count}")


MACHINE: tuple[Callable[[], Iterator[Outcome]], ...] = (python, cores, libraries)
WORKSPACE: tuple[Callable[[Workspace], Iterator[Outcome]], ...] = (disk, ports, mirror, projects, state, shared)


def _readable(workspace: Workspace) -> Iterator[str]:
    for name in names(workspace):
        try:
            find(workspace, name)
        except TreadleError:
            continue  # told by another check
        yield name


def _import_problem(module: str) -> str:
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        return str(error) or type(error).__name__
    return ""


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        # A port that somebody listens on answers; one that is free refuses.
        return probe.connect_ex((host, port)) != 0


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return LITTLE_MEMORY


def _gigabytes(count: int) -> str:
    return f"{count / GIGABYTE:.1f} GB"
