"""``treadle serve`` with several small models, for whoever wants to ask it anything."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests import small_bundles
from tests.crew import until
from tests.fuzz.small_models import MODELS
from treadle.identity import Keys
from treadle.settings import MARKER, Workspace
from treadle.state import deployments, verdicts
from treadle.state.deployments import Slot
from treadle.state.store import open_store
from treadle.state.verdicts import Verdict

GRAPHS = {"churn": small_bundles.answering(), "price": small_bundles.valuing(), "gaps": small_bundles.answering(features=6, gaps=True)}

JUDGED = 2
"""The version of churn that the gate has let pass, so that somebody can approve it."""


class Server:
    """A service of one worker. With ``keys`` it asks for one, and ``token`` has every role."""

    def __init__(self, root: Path, *, keys: bool = False) -> None:
        (root / MARKER).write_text("port = 0\nworkers = 1\npoll_seconds = 0.1\n")
        workspace = Workspace.find(root)
        self.token = Keys(workspace.home).create("fuzz", ["predict", "label", "operate", "approve", "admin"]) if keys else None
        with contextlib.closing(open_store(workspace.store_url)) as store, store.write() as conn:
            for model, interface in MODELS.items():
                digest = small_bundles.put(workspace.bundle_dir, GRAPHS[model], interface, model).digest
                slots = [Slot("champion", 1, digest, 1.0)]
                deployments.insert(conn, model, expected=0, slots=slots, reason="to be fuzzed", at=time.time())
            facts: dict[str, Any] = {"passed": True, "reasons": (), "policy_digest": "p", "evidence": {}, "at": time.time()}
            verdicts.record(conn, Verdict("v1", "churn", JUDGED, "d" * 64, "gate", **facts))
        self.log = root / "serve.log"
        self._root = root

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "treadle.cli.main", "serve"],
                env={**os.environ, "TREADLE_WORKSPACE": str(self._root)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        until(lambda: b"serving on" in self.log.read_bytes(), seconds=150)
        self.url = self.log.read_text().splitlines()[0].split()[-1]
        until(self._ready, seconds=150)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(60)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that let a caller in."""
        return {"X-API-Key": self.token} if self.token else {}

    def faults(self) -> str:
        """Return what the worker has logged, but for what uvicorn says of bytes that are no HTTP: nothing, if no request was too much."""
        path = Workspace.find(self._root).home / "logs" / "worker-1.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return "\n".join(line for line in lines if line and "Invalid HTTP request received." not in line)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", timeout=10).status_code == 200
        except httpx.TransportError:
            return False
