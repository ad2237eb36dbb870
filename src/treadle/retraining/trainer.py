"""Training for a turn: a niced subprocess with a time limit, so that a model that eats memory or time harms nobody."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from treadle.settings import Workspace

NICENESS = 10


class Trainer:
    """One running ``treadle train``. It dies with the controller, and the turn's step is then done again."""

    def __init__(self, workspace: Workspace, model: str, *, turn_id: str, snapshot: str, cut: float, time_limit: float, began: float) -> None:
        self._deadline = began + time_limit
        self._log = workspace.home / "logs" / f"train-{turn_id}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "treadle.cli.main", "train", model, "--turn", turn_id, "--snapshot", snapshot, "--cut", repr(cut)]
        environment = {**os.environ, "TREADLE_WORKSPACE": str(workspace.root), "TREADLE_HOME": str(workspace.home), "OMP_NUM_THREADS": "1"}
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, preexec_fn=_humble
            )

    @property
    def log(self) -> Path:
        """The file with what the training said."""
        return self._log

    def poll(self, now: float) -> str | None:
        """Return None while it runs, "" when it has ended well, or the reason why it failed."""
        code = self._process.poll()
        if code is None and now > self._deadline:
            self.stop()
            return "it ran past its time limit (retrain.time_limit) and was ended"
        if code is None:
            return None
        return "" if code == 0 else f"it ended with code {code}: {self._last_words()}"

    def stop(self) -> None:
        """End the training if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


def _humble() -> None:
    """Run with low priority, and die when the controller dies (Linux)."""
    os.nice(NICENESS)
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 -- only here, between fork and exec

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
