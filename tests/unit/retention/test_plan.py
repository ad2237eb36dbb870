"""What may go: tables of small inventories, and random ones in which nothing that is referenced may ever be planned."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from treadle.retention.plan import GRACE, Plan, horizon, plan
from treadle.retention.things import SWEPT, Hold, Inventory, Key, Need, Thing
from treadle.spec import RetentionPolicy

NOW = 1_000_000.0
OLD = NOW - 500_000
POLICY = RetentionPolicy(log=100_000.0, versions=2, generations=2, runs=50_000.0)
POLICIES = {"churn": POLICY}


def key(kind: str, name: str, model: str = "churn") -> Key:
    return Key(kind, model, name)  # type: ignore[arg-type]


def version(number: int, *, at: float = OLD, model: str = "churn") -> list[Thing]:
    """Return a version with its bundle, its run and its snapshot, a hundred bytes each."""
    bundle, run, snapshot = (key(kind, f"{kind}{number}", model) for kind in ("bundle", "run", "snapshot"))
    return [
        Thing(key("version", str(number), model), 100, at, frozenset({bundle, run})),
        Thing(bundle, 100, at, frozenset({run, snapshot})),
        Thing(run, 100, at),
        Thing(snapshot, 100, at),
    ]


def versions(*numbers: int) -> list[Thing]:
    return [thing for number in numbers for thing in version(number, at=OLD + number)]


def decide(things: Sequence[Thing], *holds: Hold, needs: Sequence[Need] = (), cap: int = 0) -> Plan:
    total = sum(thing.size for thing in things)
    return plan(Inventory(tuple(things), holds, tuple(needs), total=total), POLICIES, now=NOW, cap=cap)


def gone(decided: Plan) -> list[str]:
    return [f"{one.thing.key.kind} {one.thing.key.name}" for one in decided.removals]


def reasons(decided: Plan) -> dict[str, str]:
    return {f"{one.thing.key.kind} {one.thing.key.name}": one.reason for one in decided.removals}


def kept(decided: Plan) -> dict[str, str]:
    return {f"{one.thing.key.kind} {one.thing.key.name}": one.by for one in decided.kept}


def test_a_version_beyond_the_newest_goes_with_all_that_it_alone_names() -> None:
    decided = decide(versions(1, 2, 3))
    assert gone(decided) == ["version 1", "bundle bundle1", "run run1", "snapshot snapshot1"]
    assert reasons(decided)["version 1"] == "It has no role and is not among the 2 newest (retention.versions)."
    assert reasons(decided)["bundle bundle1"] == "It goes with version 1 of churn."
    assert decided.freed == 400
    assert kept(decided)["snapshot snapshot2"] == "named by bundle bundle2 of churn"


def test_what_has_a_role_stays_however_old_it_is() -> None:
    decided = decide(versions(1, 2, 3), Hold(key("version", "1"), "champion now"))
    assert gone(decided) == []
    assert kept(decided)["version 1"] == "champion now"


def test_a_role_keeps_a_bundle_that_mlflow_has_forgotten_and_its_snapshot() -> None:
    forgotten = version(1)[1:]
    assert gone(decide(forgotten, Hold(key("bundle", "bundle1"), "champion now"))) == []
    assert gone(decide(forgotten)) == ["bundle bundle1", "run run1", "snapshot snapshot1"]


def test_a_snapshot_that_another_version_names_stays() -> None:
    shared = [Thing(key("version", str(number)), 1, OLD + number, frozenset({key("bundle", f"b{number}")})) for number in (1, 2, 3)] + [
        Thing(key("bundle", f"b{number}"), 1, OLD, frozenset({key("snapshot", "s")})) for number in (1, 2, 3)
    ]
    assert gone(decide([*shared, Thing(key("snapshot", "s"), 1, OLD)])) == ["version 1", "bundle b1"]


def test_runs_and_data_that_nothing_names_go_when_they_are_old() -> None:
    young, old = NOW - 40_000, NOW - 60_000
    things = [Thing(key(kind, f"{at:.0f}"), 1, at) for kind in ("run", "snapshot", "bundle", "training log") for at in (young, old)]
    decided = decide(things)
    assert {name.rsplit(" ", 1)[1] for name in gone(decided)} == {f"{old:.0f}"}
    assert len(gone(decided)) == 4
    assert kept(decided)[f"run {young:.0f}"].startswith("younger than 50000s (retention.runs)")


def test_what_was_just_made_stays_whatever_names_it() -> None:
    fresh = Thing(key("leftover", "draft", ""), 1, NOW - GRACE + 1)
    stale = Thing(key("leftover", "other", ""), 1, NOW - GRACE - 1)
    decided = decide([fresh, stale])
    assert gone(decided) == ["leftover other"]
    assert kept(decided)["leftover draft"] == "it was just made"


def test_rows_go_by_age_but_never_those_that_something_needs() -> None:
    slices = [Thing(key("log", str(until)), 10, until, count=5) for until in (NOW - 300_000, NOW - 150_000, NOW - 50_000)]
    assert gone(decide(slices)) == [f"log {NOW - 300_000}", f"log {NOW - 150_000}"]
    held = decide(slices, needs=[Need("churn", NOW - 200_000, "a turn is open")])
    assert gone(held) == [f"log {NOW - 300_000}"]
    assert kept(held)[f"log {NOW - 150_000}"] == "a turn is open"
    assert horizon(Inventory((), needs=(Need("churn", 3.0, "x"), Need("churn", 2.0, "y"))), "churn") == 2.0


def test_what_belongs_to_a_model_without_a_policy_stays() -> None:
    decided = decide([thing for number in (1, 2, 3) for thing in version(number, model="lost")])
    assert gone(decided) == []
    assert set(kept(decided).values()) == {"the policy of lost cannot be read"}


def test_downloads_stay_until_they_are_asked_for() -> None:
    inventory = Inventory((Thing(key("download", "file", ""), 5, OLD),), total=5)
    assert gone(plan(inventory, POLICIES, now=NOW, cap=1)) == []
    assert gone(plan(inventory, POLICIES, now=NOW, downloads=True)) == ["download file"]


def test_above_the_cap_the_oldest_go_that_nothing_holds_and_no_more_than_needed() -> None:
    things = versions(1, 2, 3)
    decided = decide(things, cap=500)
    assert gone(decided) == [
        "version 1",
        "version 2",
        "bundle bundle1",
        "bundle bundle2",
        "run run1",
        "run run2",
        "snapshot snapshot1",
        "snapshot snapshot2",
    ]
    assert reasons(decided)["version 2"] == "The home folder is above its cap (cap_gb), and nothing needs this."
    assert decided.over == 0
    assert "version 2" not in gone(decide(things, cap=800))


def test_the_newest_version_and_what_has_a_role_stay_above_the_cap_and_that_is_told() -> None:
    decided = decide(versions(1, 2), Hold(key("version", "1"), "champion now"), cap=100)
    assert gone(decided) == []
    assert decided.over == 700


def test_a_sweep_takes_what_names_before_what_is_named() -> None:
    order = [one.thing.key.kind for one in decide(versions(1, 2, 3, 4)).removals]
    assert order == sorted(order, key=SWEPT.index)


NAMES = st.sampled_from("abcdef")
KINDS = st.sampled_from(["bundle", "run", "snapshot", "training log"])
KEYS = st.one_of(st.builds(key, KINDS, NAMES), st.builds(key, st.just("version"), st.sampled_from("123456")))
TIMES = st.floats(NOW - 1_000_000, NOW)
THINGS = st.lists(
    st.builds(Thing, KEYS, st.integers(0, 1000), TIMES, st.frozensets(KEYS, max_size=3)), max_size=25, unique_by=lambda thing: thing.key
)
STRETCHES = st.lists(st.builds(Thing, st.builds(key, st.just("log"), st.uuids().map(str)), st.integers(0, 1000), TIMES), max_size=5)


@given(
    THINGS,
    STRETCHES,
    st.lists(st.builds(Hold, KEYS, st.just("a role")), max_size=4),
    st.lists(st.builds(Need, st.just("churn"), TIMES, st.just("a window")), max_size=3),
    st.sampled_from([0, 1, 500, 5000]),
)
def test_nothing_that_is_referenced_is_ever_planned(
    things: list[Thing], stretches: list[Thing], holds: list[Hold], needs: list[Need], cap: int
) -> None:
    decided = plan(Inventory((*things, *stretches), tuple(holds), tuple(needs), total=10_000), POLICIES, now=NOW, cap=cap)
    going = {one.thing.key for one in decided.removals}
    staying = {one.thing.key for one in decided.kept}
    assert going | staying == {thing.key for thing in (*things, *stretches)}
    assert not going & staying
    assert not going & {hold.key for hold in holds}
    assert not going & {named for thing in things if thing.key in staying for named in thing.refers}
    assert all(thing.at <= min((need.since for need in needs), default=NOW) for thing in stretches if thing.key in going)
    newest = max((thing.key for thing in things if thing.key.kind == "version"), key=lambda one: int(one.name), default=None)
    assert newest not in going


@given(THINGS, st.lists(st.builds(Hold, KEYS, st.just("a role")), max_size=4))
def test_without_a_cap_the_newest_versions_stay_and_a_cap_only_takes_more(things: list[Thing], holds: list[Hold]) -> None:
    inventory = Inventory(tuple(things), tuple(holds), total=sum(thing.size for thing in things))
    free = {one.thing.key for one in plan(inventory, POLICIES, now=NOW).removals}
    capped = {one.thing.key for one in plan(inventory, POLICIES, now=NOW, cap=1).removals}
    numbers = sorted((one.key for one in things if one.key.kind == "version"), key=lambda one: -int(one.name))
    assert not free & set(numbers[: POLICY.versions])
    assert free <= capped
