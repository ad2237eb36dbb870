"""The demo's script: its stages in order, what each waits for, and the verdict at the end."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from treadle.bundle.place import BundlePlace
from treadle.console.narration import narrate
from treadle.console.screen import Bar, Screen
from treadle.demo import report
from treadle.demo.healing import measure
from treadle.demo.report import Plan
from treadle.demo.stages import STAGES, Stage
from treadle.demo.stream import Stream
from treadle.errors import DemoStuck
from treadle.loop import Loop
from treadle.projects import Project, find
from treadle.retraining.progress import progress
from treadle.serving.supervisor import Notice
from treadle.settings import Workspace
from treadle.simulation.traffic import Pace, Tally, Traffic, canonical_answer
from treadle.simulation.world import World, open_world
from treadle.stack import Stack
from treadle.state import events, heads, turns
from treadle.state.events import Event
from treadle.state.schema import predictions
from treadle.state.store import Store, open_store

SHIFTING = "churn"
CALM = "iris"
PACES = {SHIFTING: Pace(rate=220, singles=0.25, delay=1.5), CALM: Pace(rate=10, singles=1.0, delay=1.5)}

CALM_SECONDS = 18.0
ALARM_SECONDS = 90.0
HEAL_SECONDS = 240.0
AFTER_SECONDS = 6.0
CONTROL_SECONDS = 30.0
SHIP_SECONDS = 20.0
LOOK_SECONDS = 0.1
LIVE_SEED = 1_000
FRESH_SEED = 2_000
"""Added to the seed of the demo: the traffic and the rows that judge it come from two streams of the same world."""


def run(plan: Plan, screen: Screen | None = None) -> int:
    """Run the demo in a state folder of its own and return the exit code: 0 when it went as it must for this plan."""
    workspace = demo_workspace(plan)
    store = open_store(workspace.store_url)
    heads.begin(store, workspace.home, at=time.time())
    try:
        with screen or Screen() as shown:
            return Demo(plan, workspace, store, shown).run()
    finally:
        store.close()


def demo_workspace(plan: Plan) -> Workspace:
    """Return the present workspace with the demo's policy, quick clocks, and a state folder that nobody else has."""
    base = Workspace.find()
    home = base.home / f"demo-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    changes = {
        "home": home,
        "overlay": "demo",
        "profile_seconds": 1.0,
        "controller_seconds": 0.5,
        "poll_seconds": 0.2,
        "retraining": plan.retrain,
    }
    return Workspace(base.root, base.settings.model_copy(update=changes))


class Demo:
    """One run of the script."""

    def __init__(self, plan: Plan, workspace: Workspace, store: Store, screen: Screen) -> None:
        self._plan = plan
        self._workspace = workspace
        self._store = store
        self._screen = screen
        self._seen = 0
        self._events: list[Event] = []
        self._loop = Loop(workspace, store, tell=self._tell)
        self._projects = {name: find(workspace, name) for name in (SHIFTING, CALM)}

    def run(self) -> int:
        """Play every stage and return the exit code."""
        self._screen.line(f"State of this demo: {os.path.relpath(self._workspace.home)}", "quiet")
        self._stage("train")
        for project in self._projects.values():
            self._bring_live(project)
        first = self._champion()
        self._stage("serve")
        with Stack(self._workspace, self._notice, free_ports=True) as stack:
            told = stack.addresses
            self._screen.line(f"API {told.api}/docs   MLflow {told.tracking}   controller {told.controller}", "good")
            times = self._traffic(stack)
            healing = measure(
                self._project, self._bundles, self._fresh_world(), {"first": first, "last": self._champion()}, seed=self._plan.seed
            )
            outcome = report.judge(self._plan, healing, times, self._events)
            self._screen.table(report.table(healing, times, stack.addresses, shift=self._plan.shift))
            self._screen.line(outcome.sentence, "good" if outcome.good else "bad")
            if not self._plan.stop:
                self._wait_for_ctrl_c(stack)
        return 0 if outcome.good else 1

    @property
    def _project(self) -> Project:
        return self._projects[SHIFTING]

    @property
    def _bundles(self) -> BundlePlace:
        return BundlePlace.of(self._workspace)

    # the stages

    def _bring_live(self, project: Project) -> None:
        with self._screen.bar(f"{project.name}: data → training → registry") as bar:
            bar.show(f"{project.name}: training", 0, 0)
            self._loop.train(project, seed=self._plan.seed)
            verdict, deployment = self._loop.promote(project)
            self._tell_events()
        if deployment is None:
            raise DemoStuck(f"the gate refused the first version of {project.name}: {' '.join(verdict.reasons)}", self._logs)

    def _traffic(self, stack: Stack) -> report.Times:
        clients = [self._client(stack.addresses.api, project) for project in self._projects.values()]
        shifting = clients[0]
        times = report.Times()
        self._stage("traffic")
        with Stream(clients) as stream:
            self._wait("calm traffic", CALM_SECONDS if self._plan.shift else CONTROL_SECONDS)
            if self._plan.shift:
                self._change(shifting, times)
            tallies = stream.stop()
        self._stage("settle")
        self._reconcile(tallies, times)
        return times

    def _change(self, client: Traffic, times: report.Times) -> None:
        self._stage("shift")
        times.shifted = time.time()
        client.shifted = True
        self._screen.line(f"{SHIFTING}: the world changes now: other customers, and other reasons to leave", "change")
        alarm = self._wait("until the alarm", ALARM_SECONDS, lambda event: event.kind == "episode.opened" and event.model == SHIFTING)
        if alarm is None:
            raise DemoStuck(f"no alarm within {ALARM_SECONDS:.0f} s after the change", self._logs)
        times.alarmed = alarm.at
        self._stage("heal")
        if not self._plan.retrain:
            self._wait("nobody retrains", CONTROL_SECONDS)
            return
        healed = self._wait(
            "until a better model answers",
            HEAL_SECONDS,
            lambda event: event.kind == "turn.closed" and event.data.get("outcome") == "promoted",
        )
        if healed is not None:
            times.promoted = healed.at
            self._wait("the new champion at work", AFTER_SECONDS)

    def _reconcile(self, tallies: list[Tally], times: report.Times) -> None:
        """Hold what the clients received against what the store has, row by row."""
        times.tallies = dict(zip(self._projects, tallies, strict=True))
        received = Counter((one.prediction_id, one.version, one.answer) for tally in tallies for one in tally.received)
        deadline = time.time() + SHIP_SECONDS
        while (logged := self._logged()) != received and time.time() < deadline:
            time.sleep(LOOK_SECONDS)
        times.logged = logged.total()
        times.same = logged == received
        same = "the same as the clients received, answer by answer" if times.same else "NOT the same as the clients received"
        self._screen.line(f"{logged.total()} answered rows are in the log, {same}", "good" if times.same else "bad")

    def _logged(self) -> Counter[tuple[str, int, str]]:
        chosen = select(predictions.c.prediction_id, predictions.c.version, predictions.c.answer).where(predictions.c.status == "ok")
        with self._store.read() as conn:
            return Counter((row.prediction_id, row.version, canonical_answer(json.loads(row.answer))) for row in conn.execute(chosen))

    # what the stages use

    def _client(self, url: str, project: Project) -> Traffic:
        world = open_world(self._workspace, project, seed=self._plan.seed + LIVE_SEED)
        return Traffic(url, project.name, project.contract.interface, world, PACES[project.name])

    def _fresh_world(self) -> World:
        return open_world(self._workspace, self._project, seed=self._plan.seed + FRESH_SEED)

    def _champion(self) -> str:
        deployment = self._loop.deployed(self._project)
        if deployment is None or deployment.champion is None:
            raise DemoStuck(f"{SHIFTING} has no champion", self._logs)
        return deployment.champion.digest

    @property
    def _logs(self) -> Path:
        return self._workspace.home / "logs"

    def _stage(self, name: str) -> None:
        stage: Stage = STAGES[name]
        self._tell_events()
        self._screen.headline(stage.title)
        if self._plan.step:
            self._screen.explain(stage.sentences, stage.page)

    def _wait(self, what: str, seconds: float, until: Callable[[Event], bool] | None = None) -> Event | None:
        """Tell events until one is what we wait for, or the time is over (then None)."""
        began = time.time()
        with self._screen.bar(what) as bar:
            while (passed := time.time() - began) < seconds:
                for event in self._tell_events():
                    if until is not None and until(event):
                        return event
                self._show(bar, what, passed, seconds)
                time.sleep(LOOK_SECONDS)
        return None

    def _show(self, bar: Bar, what: str, passed: float, seconds: float) -> None:
        """Show the rows of an open turn where it counts rows, else the time."""
        with self._store.read() as conn:
            turn = turns.current(conn, SHIFTING)
            now = progress(conn, self._project, turn, now=time.time()) if turn is not None else None
        if now is not None:
            bar.show(now.text, now.done, now.total)
        else:
            bar.show(what, int(passed), int(seconds))

    def _tell_events(self) -> list[Event]:
        with self._store.read() as conn:
            fresh = events.after(conn, self._seen)
        for event in fresh:
            self._seen = event.seq
            self._events.append(event)
            told = narrate(event.kind, event.model, event.data)
            if told is not None:
                self._screen.line(told.text, told.style, at=event.at)
        return fresh

    def _tell(self, _kind: str, **_facts: object) -> None:
        """Progress of training: what is worth telling stands in the events."""
        self._tell_events()

    def _notice(self, notice: Notice) -> None:
        if notice.what in {"died", "started"}:
            self._screen.line(f"{notice.child} {notice.what} ({notice.detail})", "bad" if notice.what == "died" else "quiet")

    def _wait_for_ctrl_c(self, stack: Stack) -> None:
        self._screen.line(f"The services stay up: {stack.addresses.api}/docs, {stack.addresses.tracking}. Ctrl-C stops them.")
        with suppress(KeyboardInterrupt):
            while True:
                self._tell_events()
                time.sleep(0.5)
