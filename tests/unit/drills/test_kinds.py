"""Every kind of drill has a plan that can be told, and a kind that there is not is named."""

import pytest

from treadle import api
from treadle.cli.drill import KINDS as OFFERED
from treadle.console import drilling
from treadle.drills.report import Kind, Report, Seen
from treadle.drills.run import DRILLS, KINDS, plan_of
from treadle.errors import DrillImpossible


def test_the_command_offers_every_kind() -> None:
    assert OFFERED == KINDS == tuple(DRILLS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_says_what_is_broken_and_what_should_happen(kind: Kind, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(kind, "churn")
    drilling.announce(kind, "churn")
    told = " ".join(capsys.readouterr().out.split())
    for text in (plan.broken, plan.expected, plan.left, *plan.watch):
        assert text
        assert " ".join(text.split()) in told
        assert "{" not in text


@pytest.mark.parametrize(("held", "ending"), [(True, "The loop held."), (False, "It did not go as it should, or not yet.")])
def test_what_was_seen_is_told_with_its_ending(held: bool, ending: str) -> None:  # noqa: FBT001
    report = Report("drift", "churn", plan_of("drift", "churn"), Seen(held, ("It drifted.",)))
    assert drilling.told(report).splitlines() == ["  - It drifted.", ending]


def test_a_kind_that_there_is_not_is_named_with_those_there_are() -> None:
    drilling.announce("earthquake", "churn")
    with pytest.raises(DrillImpossible) as refused:
        api.drill("earthquake", "churn")
    assert "earthquake" in refused.value.what
    assert "dead-controller" in refused.value.fix
