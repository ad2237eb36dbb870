"""A throwaway PostgreSQL: its own folder, its own port, nothing synced to disk, gone after use."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
import sqlalchemy as sa

FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB"


def _programs() -> Path:
    """Return the folder of initdb and pg_ctl, the newest where there are several; skip the test where there is none."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parent.parent.name))
    on_path = shutil.which("initdb")
    if not installed and on_path is None:
        pytest.skip("PostgreSQL is not installed")
    return installed[-1].parent if installed else Path(on_path or "").parent


def _run(*command: str | Path) -> None:
    """Run a program of PostgreSQL; it refuses to run as root, so root steps down to the user that the package made."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*prefix, *map(str, command)], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        pytest.fail(f"{command[0]} failed:\n{done.stdout.decode(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Server:
    """A PostgreSQL in a folder of its own, which can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._port = _free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"
        _run(programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} {FAST}"
        # The server must not inherit the pipe of pg_ctl, or the run would wait for it: it logs to a file.
        _run(self._programs / "pg_ctl", "-D", self._folder / "data", "-l", self._folder / "log", "-o", options, "-w", "start")

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it, with every connection to it; ``immediate`` loses the last commits of a server as fast as this one."""
        _run(self._programs / "pg_ctl", "-D", self._folder / "data", "-m", how, "-w", "stop")


@contextmanager
def server() -> Iterator[Server]:
    """Run PostgreSQL; what cannot be had is skipped by name."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = _programs()
    # Not pytest's folder: every folder above must be open to the user postgres, and socket paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="treadle-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        made = Server(programs, folder)
        made.start()
        try:
            yield made
        finally:
            made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def cluster() -> Iterator[str]:
    """Run PostgreSQL and yield its URL; what cannot be had is skipped by name."""
    with server() as running:
        yield running.url


@contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """Make an empty database on the server, yield its URL, and drop it with every connection to it."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        engine.dispose()
