"""What the loop would have done over the past under a policy. Pure: a record, a contract and a time grid in, episodes and turns out.

At each time of the grid it looks, alarms and decides by the very functions of the controller, on what was known then. What it cannot know
is what another turn would have made: the versions that served stay those of the record. So a turn that opens ends when the record's
next turn ended, and as that one did, or when the champion was replaced; where neither came it stays open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.bundle.place import Bundle
from treadle.monitoring.alarms import alarms, cleared
from treadle.monitoring.drift import Counts, DriftReport
from treadle.monitoring.observe import MOST_ROWS, Judged, Observation, assess_drift, assess_quality, date_drift, date_quality
from treadle.monitoring.quality import QualityReport
from treadle.retraining.decide import SUPERSEDED, Decision, Situation, decide
from treadle.spec import Contract, LabelPolicy
from treadle.state.episodes import Episode
from treadle.state.recorded import Answers, Parts
from treadle.state.turns import Turn
from treadle.training.metrics import Labels


@dataclass(frozen=True)
class Reign:
    """``version`` was champion from ``since`` until ``until`` (epoch seconds)."""

    version: int
    since: float
    until: float


@dataclass
class Past:
    """What was recorded of one version. ``truth`` is what each label of ``answers`` says, and ``negative`` what a missing one means."""

    bundle: Bundle
    parts: Parts
    answers: Answers
    truth: Labels
    negative: int | None = None
    _marks: dict[float, Counts] = field(default_factory=dict)

    def mark(self, times: Sequence[float]) -> None:
        """Sum the parts up to each of these times once, so that counts between them are a difference."""
        size, done = self.bundle.profile.layout.size, 0
        total = np.zeros(size, dtype=np.int64)
        for time in sorted(set(times)):
            end = int(np.searchsorted(self.parts.buckets, time))
            total = total + self.parts.counts(done, end, size)
            self._marks[time], done = total, end

    def counts(self, since: float, until: float) -> Counts:
        """Return the counts of the predictions in [``since``, ``until``)."""
        if since in self._marks and until in self._marks:
            return self._marks[until] - self._marks[since]
        begin, end = np.searchsorted(self.parts.buckets, [since, until])
        return self.parts.counts(int(begin), int(end), self.bundle.profile.layout.size)

    def judged(self, since: float, now: float, labels: LabelPolicy) -> Judged:
        """Return the answers after ``since`` that had matured at ``now``, with the labels that had come by then."""
        answers, ripe = self.answers, now - labels.maturity
        begin, end = (int(place) for place in np.searchsorted(answers.at, [since, ripe], side="right"))
        rows, places = answers.known(begin, end, now)
        truth: Labels = self.truth[places]
        if labels.missing == "negative" and self.negative is not None:
            full = np.full(end - begin, self.negative, dtype=np.int64)
            full[rows - begin] = truth
            rows, truth = np.arange(begin, end), full
        rows, truth = rows[-MOST_ROWS:], truth[-MOST_ROWS:]
        return Judged(answers.at[rows], truth, answers.scores[rows])


@dataclass
class Record:
    """What is known of a model's past: its champions, what each did, the turns, and when rows were answered that have a label now.

    ``pasts`` lacks a version whose bundle is gone; while that one was champion nothing is seen.
    """

    model: str
    reigns: Sequence[Reign]
    pasts: Mapping[int, Past]
    turns: Sequence[Turn]
    answered: NDArray[np.float64]
    labelled: NDArray[np.float64]
    _seen: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def champion(self, time: float) -> int | None:
        """Return the version that was champion at ``time``, if what it did is known."""
        found = next((reign.version for reign in self.reigns if reign.since <= time < reign.until), None)
        return found if found in self.pasts else None

    def since(self, time: float) -> float:
        """Return when the champion of ``time`` took its role."""
        return next((reign.since for reign in self.reigns if reign.since <= time < reign.until), time)

    def drift(self, version: int, time: float, contract: Contract) -> DriftReport:
        """Return the drift that the controller saw then; what two policies measure alike is measured once."""
        asked = ("drift", version, time, contract.policy.drift.digest)
        if asked not in self._seen:
            self._seen[asked] = assess_drift(self.pasts[version], contract, time - contract.policy.drift.window, time)
        report: DriftReport = self._seen[asked]
        return report

    def quality(self, version: int, time: float, contract: Contract) -> QualityReport:
        """Return the quality that the controller saw then."""
        policy = contract.policy
        asked = ("quality", version, time, policy.quality.digest, policy.labels.digest, policy.quality.metric or contract.metric)
        if asked not in self._seen:
            judged = self.pasts[version].judged(time - policy.labels.maturity - policy.quality.window, time, policy.labels)
            self._seen[asked] = assess_quality(self.pasts[version].bundle, contract, judged, thorough=False)
        report: QualityReport = self._seen[asked]
        return report


@dataclass(frozen=True)
class Played:
    """What a policy would have done: alarms as episodes, turns of the loop, and when a person would have been asked."""

    episodes: tuple[Episode, ...]
    turns: tuple[Turn, ...]
    asked: tuple[float, ...]


def grid(record: Record, *, since: float, now: float, step: float) -> list[float]:
    """Return the times at which the past is looked at: every ``step`` seconds up to ``now``, none before the first champion."""
    begin = max([since, *([record.reigns[0].since] if record.reigns else [])])
    steps = int((now - begin) // step)
    return [now - step * place for place in range(steps, -1, -1)]


def play(record: Record, contract: Contract, times: Sequence[float], *, enabled: bool = True) -> Played:
    """Let the loop look at each of ``times`` under the policy of ``contract``; it begins with no episode and no turn open."""
    window = contract.policy.drift.window
    for past in record.pasts.values():
        past.mark([edge for time in times for edge in (time - window, time)])
    player = _Player(record, contract, enabled=enabled)
    for time in times:
        player.look(time)
    return player.played


class _Player:
    """The controller's decisions about one model, with nothing that acts."""

    def __init__(self, record: Record, contract: Contract, *, enabled: bool) -> None:
        self._record = record
        self._contract = contract
        self._enabled = enabled
        self._episodes: list[Episode] = []
        self._turns: list[Turn] = []
        self._asked: dict[str, float] = {}

    @property
    def played(self) -> Played:
        """What has been done so far."""
        return Played(tuple(self._episodes), tuple(self._turns), tuple(self._asked.values()))

    def look(self, now: float) -> None:
        """Do what a round of the controller does."""
        version = self._record.champion(now)
        self._end_turn(version, now)
        if version is None:
            self._close(list(self._open), SUPERSEDED, now)
            return
        self._keep_episodes(version, now)
        self._open_turn(now)

    @property
    def _open(self) -> list[Episode]:
        return [one for one in self._episodes if one.closed_at is None]

    def _keep_episodes(self, version: int, now: float) -> None:
        seen = self._observe(version, now)
        self._close([one for one in self._open if one.version != version], SUPERSEDED, now)
        self._close([one for one in self._open if one.signal in cleared(seen)], "recovered", now)
        known = {one.signal for one in self._open}
        for alarm in alarms(seen):
            if alarm.signal not in known:
                onset = self._onset(version, now, quality=alarm.signal == "quality")
                name = f"replayed {len(self._episodes) + 1}"
                self._episodes.append(Episode(name, self._record.model, version, alarm.signal, now, onset, None, None, alarm.evidence))

    def _observe(self, version: int, now: float) -> Observation:
        """Return what was to be seen; an onset is only marked as there, for to date it takes time."""
        policy = self._contract.policy
        drift, quality = self._record.drift(version, now, self._contract), self._record.quality(version, now, self._contract)
        since, ripe = now - policy.drift.window, now - policy.labels.maturity
        return Observation(
            version,
            since,
            now,
            drift,
            since if drift.drifted else None,
            ripe - policy.quality.window,
            ripe,
            quality,
            ripe if quality.bad else None,
        )

    def _onset(self, version: int, now: float, *, quality: bool) -> float:
        past, policy = self._record.pasts[version], self._contract.policy
        if not quality:
            return date_drift(past, now - policy.drift.window, now)
        since = now - policy.labels.maturity - policy.quality.window
        return date_quality(past.bundle, past.judged(since, now, policy.labels), since)

    def _close(self, ended: Sequence[Episode], outcome: str, now: float) -> None:
        for one in ended:
            self._episodes[self._episodes.index(one)] = replace(one, closed_at=now, outcome=outcome)

    def _open_turn(self, now: float) -> None:
        situation = self._situation(now)
        decision = decide(situation, self._contract.policy.retrain, enabled=self._enabled)
        if decision.episode is not None:
            self._turns.append(self._turn(decision, decision.episode, now))
        elif decision.ask:
            self._asked.setdefault(situation.recent[0].id, now)

    def _turn(self, decision: Decision, episode: Episode, now: float) -> Turn:
        data = {"onset": episode.onset, "champion": episode.version}
        return Turn(f"replayed {len(self._turns) + 1}", self._record.model, decision.reason, episode.id, "collect", data, now, now)

    def _situation(self, now: float) -> Situation:
        since = self._record.since(now)
        closed = [turn for turn in reversed(self._turns) if turn.closed_at is not None and turn.opened_at >= since]
        last = self._turns[-1] if self._turns and self._turns[-1].closed_at is None else None
        return Situation(self._open, last, closed, self._matured(closed[0].closed_at or now, now) if closed else 0, now)

    def _matured(self, then: float, now: float) -> int:
        labels = self._contract.policy.labels
        times = self._record.answered if labels.missing == "negative" else self._record.labelled
        begin, end = np.searchsorted(times, [then - labels.maturity, now - labels.maturity], side="right")
        return int(end - begin)

    def _end_turn(self, version: int | None, now: float) -> None:
        if not self._turns or self._turns[-1].closed_at is not None:
            return
        turn = self._turns[-1]
        ends = [one for one in self._record.turns if one.closed_at is not None and turn.opened_at < one.closed_at <= now]
        if ends:
            first = min(ends, key=lambda one: one.closed_at or 0.0)
            self._turns[-1] = replace(turn, closed_at=first.closed_at, outcome=first.outcome, reason=first.reason)
        elif version != turn.data["champion"]:
            self._turns[-1] = replace(turn, closed_at=now, outcome=SUPERSEDED, reason="The champion was replaced.")
