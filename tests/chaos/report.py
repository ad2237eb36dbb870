"""What a fault has shown, gathered for the table in the docs."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.boundaries import Boundary

FOLDER = "TREADLE_TEST_CHAOS_REPORT"


def tell(name: str, *, fault: str, promised: str, seen: str) -> None:
    """Leave a row for the table in the docs, where `make chaos` asks for it."""
    if FOLDER in os.environ:
        (Path(os.environ[FOLDER]) / f"{name}.json").write_text(json.dumps({"fault": fault, "promised": promised, "seen": seen}))


@dataclass
class Deaths:
    """The deaths of one kind of process."""

    role: str
    promised: str
    deaths: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def saw(self, boundary: Boundary, *, died: bool, wrong: list[str]) -> None:
        """Note how a kill ended."""
        self.deaths += died
        if not died:
            self.missed.append(str(boundary))
        self.wrong += [f"{boundary}: {one}" for one in wrong]

    def close(self, known: int) -> None:
        """Fail if anything was wrong, or if a boundary was not reached."""
        seen = f"{self.deaths} deaths at {known} boundaries: {len(self.wrong)} broken promises"
        tell(self.role, fault=f"`kill -9` of the {self.role} at each boundary", promised=self.promised, seen=seen)
        assert not self.missed, "nobody died at:\n" + "\n".join(self.missed)
        assert not self.wrong, "\n" + "\n".join(self.wrong)
