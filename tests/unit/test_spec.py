import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from treadle import spec
from treadle.errors import ContractInvalid
from treadle.spec import CardPolicy, Contract, Policy, SloPolicy, canonical_json, contract_schema, load_contract

CONTRACTS = Path(__file__).parent / "contracts"
VALID = sorted((CONTRACTS / "valid").glob("*.yaml"))
INVALID = sorted((CONTRACTS / "invalid").glob("*.yaml"))
PROJECTS = sorted((Path(__file__).parents[2] / "projects").glob("*/model.yaml"))


def by_name(path: Path) -> str:
    return path.parent.name if path.name == "model.yaml" else path.stem


@pytest.mark.parametrize("path", VALID + PROJECTS, ids=by_name)
def test_a_valid_contract_loads_and_fits_the_json_schema(path: Path) -> None:
    assert load_contract(path).name == by_name(path)
    jsonschema.validate(yaml.safe_load(path.read_text()), contract_schema())


@pytest.mark.parametrize("path", INVALID, ids=by_name)
def test_an_invalid_contract_is_refused_with_the_sentence_in_its_first_line(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# ")
    with pytest.raises(ContractInvalid) as caught:
        load_contract(path)
    assert expected in str(caught.value)
    assert str(path) in caught.value.what
    assert len(caught.value.problems) == 1


def test_one_valid_contract_names_every_key() -> None:
    content = yaml.safe_load((CONTRACTS / "valid" / "every_key.yaml").read_text())
    named = set(keys_of(content))
    assert {name for part in parts() for name in part.model_fields} <= named


def test_every_key_says_what_it_means() -> None:
    silent = [f"{part.__name__}.{name}" for part in parts() for name, field in part.model_fields.items() if not field.description]
    assert {name.split(".")[1] for name in silent} <= {"kind", "type"}


def test_every_problem_is_listed_not_only_the_first(tmp_path: Path) -> None:
    path = write(tmp_path, name="Two Problems", data=[{"kind": "simulated", "rows": 1}])
    with pytest.raises(ContractInvalid) as caught:
        load_contract(path)
    assert [line.split(":")[0] for line in caught.value.problems] == ["name", "data.0.simulated.rows"]


def test_a_long_value_is_cut_in_the_message(tmp_path: Path) -> None:
    path = write(tmp_path, name="x" * 500)
    with pytest.raises(ContractInvalid, match=r"\(it is 'x{70,76}\.\.\.\)"):
        load_contract(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractInvalid, match="cannot be read: No such file") as caught:
        load_contract(tmp_path / "model.yaml")
    assert str(tmp_path / "model.yaml") in caught.value.what


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ContractInvalid, match="is not YAML"):
        load_contract(path)


def test_a_bare_off_in_yaml_turns_a_check_off(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text() + "policy: {data: {leak: {severity: off}}}\n")
    assert load_contract(path).policy.data.leak.severity == "off"


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("4s", 4), ("15m", 900), ("1.5h", 5400), ("30d", 2_592_000), (7, 7), (0.25, 0.25)]
)
def test_a_duration_is_a_number_with_a_unit_or_seconds(text: str | float, seconds: float) -> None:
    assert spec.DriftPolicy.model_validate({"window": text}).window == seconds


class TestOverlay:
    def test_it_is_laid_over_the_policy_key_by_key(self, tmp_path: Path) -> None:
        path = write(tmp_path, policy={"owner": "risk", "drift": {"window": "7d", "min_rows": 300}})
        overlay(tmp_path, {"drift": {"window": "4s"}})
        policy = load_contract(path, "demo").policy
        assert (policy.owner, policy.drift.window, policy.drift.min_rows) == ("risk", 4, 300)

    def test_it_changes_the_policy_and_never_the_interface(self, tmp_path: Path) -> None:
        path = write(tmp_path)
        overlay(tmp_path, {"drift": {"window": "4s"}})
        plain, laid = load_contract(path), load_contract(path, "demo")
        assert plain.interface.digest == laid.interface.digest
        assert plain.policy.digest != laid.policy.digest

    def test_a_project_without_one_keeps_its_policy(self, tmp_path: Path) -> None:
        path = write(tmp_path)
        assert load_contract(path, "demo") == load_contract(path)

    def test_it_works_over_a_contract_without_policy(self, tmp_path: Path) -> None:
        path = write(tmp_path)
        overlay(tmp_path, {"owner": "demo"})
        assert load_contract(path, "demo").policy.owner == "demo"

    def test_its_problems_name_its_own_file(self, tmp_path: Path) -> None:
        path = write(tmp_path)
        over = overlay(tmp_path, {"drift": {"windows": "4s"}})
        with pytest.raises(ContractInvalid) as caught:
            load_contract(path, "demo")
        assert str(over) in caught.value.what
        assert caught.value.problems == ("policy.drift.windows: there is no such key",)

    def test_problems_of_the_contract_below_name_the_contract(self, tmp_path: Path) -> None:
        path = write(tmp_path, policy={"drift": {"windows": "7d"}})
        overlay(tmp_path, {"owner": "demo"})
        with pytest.raises(ContractInvalid) as caught:
            load_contract(path, "demo")
        assert str(path) in caught.value.what


class TestDigest:
    @given(
        st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=6), st.randoms(use_true_random=False)
    )
    def test_canonical_json_does_not_depend_on_the_order_of_keys(self, content: dict[str, Any], random: Any) -> None:
        items = list(content.items())
        random.shuffle(items)
        assert canonical_json(dict(items)) == canonical_json(content)
        assert json.loads(canonical_json(content)) == content

    def test_a_default_written_out_changes_nothing(self, tmp_path: Path) -> None:
        silent = load_contract(write(tmp_path))
        spoken = load_contract(write(tmp_path, policy={"gate": {"confidence": 0.95}}))
        assert silent.policy.digest == spoken.policy.digest

    def test_any_other_value_changes_it(self, tmp_path: Path) -> None:
        one = load_contract(write(tmp_path))
        other = load_contract(write(tmp_path, policy={"gate": {"confidence": 0.9}}))
        assert one.policy.digest != other.policy.digest


class TestDerived:
    @pytest.mark.parametrize(
        ("path", "metric", "scores"),
        [("every_key", "roc_auc", 2), ("multiclass", "f1_macro", 3), ("smallest", "rmse", 1)],
        ids=str,
    )
    def test_metric_and_scores_follow_from_the_task(self, path: str, metric: str, scores: int) -> None:
        contract = load_contract(CONTRACTS / "valid" / f"{path}.yaml")
        assert (contract.metric, contract.interface.score_count) == (metric, scores)

    def test_the_gate_may_name_another_metric(self, tmp_path: Path) -> None:
        assert load_contract(write(tmp_path, policy={"gate": {"metric": "r2"}})).metric == "r2"

    @pytest.mark.parametrize(("positive", "index"), [("No", 0), ("Yes", 1), (None, 1)])
    def test_the_positive_class_is_the_last_one_unless_named(self, positive: str | None, index: int) -> None:
        content = yaml.safe_load((CONTRACTS / "valid" / "every_key.yaml").read_text())
        content["interface"]["target"]["positive"] = positive
        assert Contract.model_validate(content).interface.positive_index == index

    def test_the_matrix_has_the_features_in_their_order(self) -> None:
        interface = load_contract(CONTRACTS / "valid" / "every_key.yaml").interface
        assert interface.feature_names == ("charge", "tenure", "plan", "senior")

    def test_a_contract_cannot_be_changed(self, tmp_path: Path) -> None:
        contract = load_contract(write(tmp_path))
        with pytest.raises(ValueError, match="frozen"):
            contract.name = "other"  # type: ignore[misc]


def test_the_metrics_of_each_task_are_those_that_training_computes() -> None:
    from treadle.training.metrics import METRICS

    assert {task: {name for name, metric in METRICS.items() if task in metric.tasks} for task in spec.METRICS} == {
        task: set(names) for task, names in spec.METRICS.items()
    }
    assert all(spec.DEFAULT_METRIC[task] in names for task, names in spec.METRICS.items())


def parts() -> list[type[BaseModel]]:
    """Return every class that a contract is made of."""
    models = [part for part in vars(spec).values() if isinstance(part, type) and issubclass(part, BaseModel)]
    return [part for part in models if part.__module__.startswith(f"{spec.__name__}.") and part.model_fields]


def keys_of(content: object) -> list[str]:
    if isinstance(content, dict):
        return [*content, *(key for value in content.values() for key in keys_of(value))]
    return [key for value in content for key in keys_of(value)] if isinstance(content, list) else []


def write(folder: Path, **changes: object) -> Path:
    path = folder / "model.yaml"
    content = yaml.safe_load((CONTRACTS / "valid" / "smallest.yaml").read_text())
    path.write_text(yaml.safe_dump(content | changes))
    return path


def overlay(folder: Path, policy: dict[str, Any]) -> Path:
    path = folder / "policy.demo.yaml"
    path.write_text(yaml.safe_dump(policy))
    return path


def test_what_a_person_writes_changes_no_rule() -> None:
    plain = Policy()
    assert Policy(owner="me", card=CardPolicy(contact="here")).digest == plain.digest
    assert Policy(slo=SloPolicy(latency=1)).digest != plain.digest
