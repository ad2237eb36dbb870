"""Models whose contract says ``pseudonymize``: nothing that is kept names anybody, and everything is found again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import small_bundles
from tests.small_service import Service
from treadle.errors import PseudonymKeyInvalid
from treadle.identity import Pseudonyms, pseudonyms
from treadle.identity.pseudonyms import KEY_BYTES, key_file
from treadle.settings import Settings, Workspace
from treadle.spec import Interface

PRIVATE = small_bundles.INTERFACE.model_copy(update={"pseudonymize": True})
KEY = bytes(range(KEY_BYTES))
ROW = {**small_bundles.ROW, "customer": "ada@example.org"}


@pytest.fixture
def private(service: Service) -> Service:
    service.follow(service.slot(small_bundles.answering(), 1, interface=PRIVATE))
    return service


@given(st.text(max_size=50), st.text(max_size=50))
def test_equal_names_have_equal_pseudonyms_and_others_have_others(one: str, other: str) -> None:
    hidden = Pseudonyms(KEY, "churn")

    assert (hidden.of(one) == hidden.of(other)) is (one == other)
    assert hidden.of(one) == Pseudonyms(KEY, "churn").of(one)


def test_another_key_or_model_has_other_pseudonyms() -> None:
    here, elsewhere, later = (Pseudonyms(KEY, "churn"), Pseudonyms(KEY, "iris"), Pseudonyms(KEY[::-1], "churn"))

    assert here.of("ada") != elsewhere.of("ada")
    assert here.of("ada").split("_")[1] == elsewhere.of("ada").split("_")[1] != later.of("ada").split("_")[1]


def test_what_was_sealed_without_the_key_has_the_same_digest() -> None:
    assert "pseudonymize" not in small_bundles.INTERFACE.model_dump_json()
    assert small_bundles.INTERFACE.digest != PRIVATE.digest
    assert Interface.model_validate_json(PRIVATE.model_dump_json()) == PRIVATE


def test_a_logged_row_names_nobody(private: Service) -> None:
    private.ask("POST", "/predict/churn", json=ROW, headers={"X-Request-ID": "ada-1"})
    private.ask("POST", "/predict/churn/batch", json={"rows": [ROW, ROW]}, headers={"X-Request-ID": "ada-2"})

    hidden = pseudonyms(private.workspace, "churn")
    one, *batch = private.predictions()
    assert (one.entity, one.request_id) == (hidden.of("ada@example.org"), hidden.of("ada-1"))
    assert {record.request_id for record in batch} == {hidden.of("ada-2/0"), hidden.of("ada-2/1")}
    assert b"ada" not in b"".join(path.read_bytes() for path in private.spool_folder.glob("*.seg"))


def test_the_caller_still_sees_its_own_request_id(private: Service) -> None:
    assert private.ask("POST", "/predict/churn", json=ROW, headers={"X-Request-ID": "ada-1"}).headers["x-request-id"] == "ada-1"


def test_a_label_meets_its_prediction_by_the_same_hash(private: Service) -> None:
    private.ask("POST", "/predict/churn", json=ROW, headers={"X-Request-ID": "ada-1"})
    labels = [{"request_id": "ada-1", "value": "yes"}, {"entity": "ada@example.org", "value": "no"}]
    assert private.ask("POST", "/labels/churn", json={"labels": labels}).status_code == 202

    (row,), (by_request, by_entity) = private.predictions(), private.labels()
    assert (by_request.request_id, by_entity.entity) == (row.request_id, row.entity)


def test_a_failed_row_names_nobody_either(service: Service) -> None:
    service.follow(service.slot(small_bundles.failing(), 1, interface=PRIVATE))

    assert service.ask("POST", "/predict/churn", json={**ROW, "tenure": 0}, headers={"X-Request-ID": "ada-1"}).status_code in {200, 503}
    assert all(record.entity == pseudonyms(service.workspace, "churn").of("ada@example.org") for record in service.predictions())


def test_a_refused_name_is_not_repeated(private: Service) -> None:
    row = private.ask("POST", "/predict/churn", json={**ROW, "customer": "ada\n"})
    label = private.ask("POST", "/labels/churn", json={"labels": [{"entity": "ada\n", "value": "no"}]})

    assert (row.status_code, label.status_code) == (422, 422)
    assert "ada" not in row.text + label.text


def test_one_version_that_asks_for_it_is_enough(service: Service) -> None:
    service.follow(
        service.slot(small_bundles.answering(), 1, weight=0.5), service.slot(small_bundles.answering(0.1), 2, "canary", 0.5, PRIVATE)
    )
    for number in range(20):
        service.predict({**ROW, "customer": f"ada{number}"})

    assert all(record.entity and record.entity.startswith("p_") for record in service.predictions())
    service.follow(service.slot(small_bundles.answering(), 1))
    service.predict(ROW)
    assert service.predictions()[-1].entity == "ada@example.org"


def test_without_a_key_the_generation_is_refused(service: Service) -> None:
    key_file(service.workspace).write_bytes(b"short")
    service.follow(service.slot(small_bundles.answering(), 1, interface=PRIVATE))

    assert "it has 5 bytes, not 32" in service.inference.routes.refused["churn"].reason
    assert service.ask("POST", "/predict/churn", json=ROW).status_code == 503


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings(home=Path("home")))

    assert pseudonyms(workspace, "churn").of("ada") == pseudonyms(workspace, "churn").of("ada")
    assert key_file(workspace).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in workspace.home.iterdir()] == ["pseudonyms.key"]


def test_a_key_that_is_named_must_be_there(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings(home=Path("home"), pseudonym_key=Path("elsewhere.key")))

    with pytest.raises(PseudonymKeyInvalid, match="No such file"):
        pseudonyms(workspace, "churn")
    (tmp_path / "elsewhere.key").write_bytes(KEY)
    assert pseudonyms(workspace, "churn").of("ada") == Pseudonyms(KEY, "churn").of("ada")
