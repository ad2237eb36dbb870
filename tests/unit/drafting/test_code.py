"""The code of a draft, for columns whose names hurt: it runs, and gives each column its own values."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import treadle
from treadle.drafting.write import Drafted
from treadle.projects import find
from treadle.settings import Settings, Workspace

ROWS = 1200


def frame(**columns: Any) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    return pd.DataFrame({"noise": draw.normal(size=ROWS).round(4), **columns, "left": draw.choice(["yes", "no"], ROWS)})


def many(prefix: str) -> list[str]:
    """Return values of a column with more texts than are kept."""
    return [f"{prefix}{number if number < 60 else number % 40}" for number in range(ROWS)]


def drafted(place: Path, table: pd.DataFrame, target: str = "left") -> tuple[Drafted, Workspace]:
    workspace = Workspace(place, Settings())
    table.to_csv(place / "rows.csv", index=False)
    return treadle.init("hurts", place / "rows.csv", target, workspace=workspace), workspace


@pytest.mark.parametrize("names", [("é", "è"), ("a-b", "a b"), ("年齢", "性別"), ("a b", "a b_2", "a-b")])
def test_columns_with_names_alike_keep_their_own_values(tmp_path: Path, names: tuple[str, ...]) -> None:
    table = frame(**{name: many(f"{index}v") for index, name in enumerate(names)})
    _, workspace = drafted(tmp_path, table)
    loaded = find(workspace, "hurts").hook("load")(tmp_path / "rows.csv")
    for index, name in enumerate(names):
        kept = loaded[name][loaded[name] != "other"]
        assert len(kept) > ROWS / 2
        assert kept.str.startswith(f"{index}v").all()


@pytest.mark.parametrize("name", ['say """it"""', 'ends in "', "back\\slash\\", 'os"""; raise SystemExit; """'])
def test_quotes_in_the_name_of_the_target_stay_in_their_text(tmp_path: Path, name: str) -> None:
    drafted(tmp_path, frame().rename(columns={"left": name}), name)
    text = (tmp_path / "projects" / "hurts" / "model.py").read_text(encoding="utf-8")
    module: dict[str, Any] = {"__file__": str(tmp_path / "projects" / "hurts" / "model.py")}
    exec(text, module)  # noqa: S102 - what is tested
    assert set(module["load"](tmp_path / "rows.csv")) == {"noise", name}


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_a_name_cannot_put_a_key_into_the_contract(tmp_path: Path, end: str) -> None:
    name = f"cst{end}data: [{{kind: file, path: evil.csv}}] #"
    drafted(tmp_path, frame(**{name: ["same"] * ROWS}))
    text = (tmp_path / "projects" / "hurts" / "model.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["data"] == [{"kind": "file", "path": "rows.csv"}]
