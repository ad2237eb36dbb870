"""Training for a turn: a niced subprocess with a time limit, so that a model that eats memory or time harms nobody."""

import os
import subprocess
import sys
from pathlib import Path

from treadle.serving.ahead import die_with
from treadle.serving.supervisor import environment
from treadle.settings import Workspace
from treadle.state.turns import Turn

NICENESS = 10
ERROR = "treadle: "
"""How a command begins the error that it ends with."""
LAST_WORDS = 500
"""Most characters of a log that the reason of a failure repeats."""


class Trainer:
    """One running ``treadle train``. It dies with the controller, and the turn's step is then done again."""

    def __init__(self, workspace: Workspace, turn: Turn, *, deadline: float) -> None:
        self._deadline = deadline
        self._log = workspace.home / "logs" / f"train-{turn.id}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._begin = self._log.stat().st_size if self._log.exists() else 0
        command = ["nice", "-n", str(NICENESS), sys.executable, "-m", "treadle.cli.main", "train", turn.model]
        command += ["--turn", turn.id, "--snapshot", turn.data["snapshot"], "--cut", repr(turn.data["cut"])]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **environment(workspace), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 -- calls prctl and nothing that could hold a lock
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
        """Return the error that the command ended with, or else its last line."""
        said = self._log.read_bytes()[self._begin :].decode(errors="replace")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        first = max((number for number, line in enumerate(lines) if line.startswith(ERROR)), default=len(lines) - 1)
        return " ".join(lines[first:]).removeprefix(ERROR)[:LAST_WORDS].rstrip(".") or "it said nothing"
