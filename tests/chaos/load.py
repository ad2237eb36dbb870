"""Callers who mix everything that callers send, at a steady rate, and check every answer against the bundles themselves."""

import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

import numpy as np

from tests.crew import Crew
from treadle.bundle.place import BundlePlace
from treadle.client import Client, Prediction
from treadle.engine.session import Engine
from treadle.errors import RequestRefused, ServiceUnreachable

ROWS = [{"tenure": tenure, "spend": float(spend)} for tenure in range(0, 100, 10) for spend in range(0, 1000, 100)]
BAD: list[dict[str, object]] = [
    {"tenure": "many", "spend": 1.0},
    {"tenure": -1, "spend": 1.0},
    {"spend": 1.0},
    {"tenure": 1, "spend": 1.0, "other": 1},
    {},
]
BATCH = 10
TOLERANCE = 1e-6


def expected(bundles: BundlePlace, digests: dict[int, str]) -> dict[int, list[dict[str, float]]]:
    """Return the probabilities that each version gives to each of ``ROWS``."""
    matrix = np.array([[row["tenure"], row["spend"]] for row in ROWS], dtype=np.float32)
    scores = {version: Engine(bundles.get(digest)).run(matrix) for version, digest in digests.items()}
    return {version: [{"no": float(no), "yes": float(yes)} for no, yes in found] for version, found in scores.items()}


@dataclass
class Load(Crew):
    """``rate`` requests a second: three in four single rows, the others batches, bad input and labels by turns."""

    url: str
    truth: dict[int, list[dict[str, float]]]
    rate: float
    answered: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Prediction id → (place of the row, version)."""
    labelled: set[str] = field(default_factory=set)
    waits: list[tuple[float, float]] = field(default_factory=list)
    """When each answer came (monotonic), and how long it took, in seconds."""
    resets: int = 0
    sent: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    by_version: Counter[int] = field(default_factory=Counter)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    count = 8

    def work(self, number: int) -> None:
        """Send at the pace of one of so many threads."""
        dice, pace = random.Random(number), self.count / self.rate
        due = time.monotonic() + pace * dice.random()
        with Client(self.url, timeout=10, retries=0) as client:
            while not self.stopping.wait(max(0.0, due - time.monotonic())):
                # Who was held up does not catch up: the rate is that of callers who wait for their answer.
                due = max(due + pace, time.monotonic())
                self.sent += 1
                try:
                    self._one(client, dice)
                except ServiceUnreachable:
                    self.resets += 1
                except RequestRefused as error:
                    self.wrong[error.sentence] += 1

    def _one(self, client: Client, dice: random.Random) -> None:
        kind = next(self._numbers) % 12
        places = [dice.randrange(len(ROWS)) for _ in range(BATCH if kind == 0 else 1)]
        rows = [{**ROWS[place], "customer": f"c{dice.randrange(10**9)}"} for place in places]
        began = time.monotonic()
        if kind == 0:
            self._check(client.predict_batch("churn", rows), places, began)
        elif kind == 1:
            self._refused(client, dice.choice(BAD))
        elif kind == 2 and self.answered:
            name = dice.choice(list(self.answered))
            client.label("churn", prediction_id=name, value="yes")
            self.labelled.add(name)
        else:
            self._check([client.predict("churn", rows[0])], places, began)

    def _refused(self, client: Client, row: dict[str, object]) -> None:
        try:
            answer = client.predict("churn", row)
        except RequestRefused as error:
            if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                return
            raise
        self.wrong[f"bad input got {answer.answer!r}"] += 1

    def _check(self, answers: list[Prediction], places: list[int], began: float) -> None:
        now = time.monotonic()
        self.waits.append((now, now - began))
        for place, answer in zip(places, answers, strict=True):
            self._compare(place, answer)

    def _compare(self, place: int, answer: Prediction) -> None:
        right, found = self.truth[answer.version][place], answer.probabilities or {}
        if any(abs(found[name] - right[name]) > TOLERANCE for name in right):
            self.wrong[f"version {answer.version} answers {found} to {ROWS[place]}, its bundle {right}"] += 1
        if answer.prediction_id in self.answered:
            self.wrong["an id was given twice"] += 1
        self.answered[answer.prediction_id] = place, answer.version
        self.by_version[answer.version] += 1

    def longest_silence(self, begin: float, end: float) -> float:
        """Return the longest time without an answer between two moments."""
        times = [begin, *sorted(at for at, _ in self.waits if begin <= at <= end), end]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def percentile(self, share: float, begin: float, end: float) -> float:
        """Return how long so large a ``share`` of the answers between two moments took at most."""
        return float(np.quantile([wait for at, wait in self.waits if begin <= at <= end], share))
