"""A setting, key, command or metric without a line in the reference is a defect."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from treadle import api, spec
from treadle.cli.main import app
from treadle.monitoring.metrics import ControllerMetrics
from treadle.serving.metrics import ServingMetrics
from treadle.settings import Settings

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def contract_keys() -> Iterator[str]:
    for part in vars(spec).values():
        if isinstance(part, type) and issubclass(part, BaseModel) and part.__module__.startswith(spec.__name__):
            yield from part.model_fields


def metric_names() -> Iterator[str]:
    registry = CollectorRegistry()
    ServingMetrics(registry)
    ControllerMetrics(registry)
    for family in registry.collect():
        yield f"{family.name}_total" if family.type == "counter" else family.name


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_described(name: str) -> None:
    assert f"| `{name}` | `TREADLE_{name.upper()}` |" in page("settings")


@pytest.mark.parametrize("name", sorted(set(contract_keys())))
def test_every_key_of_the_contract_is_described(name: str) -> None:
    assert f"| `{name}` |" in page("contract")


def command_names() -> Iterator[str]:
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        yield from [f"{name} {one}" for one in inner] or [name]


@pytest.mark.parametrize("name", sorted(command_names()))
def test_every_command_is_described(name: str) -> None:
    assert f"## treadle {name}\n" in page("commands")


@pytest.mark.parametrize("name", api.__all__)
def test_every_function_of_the_api_is_described(name: str) -> None:
    assert f"## treadle.{name}\n" in page("python")


@pytest.mark.parametrize("name", sorted(set(metric_names())))
def test_every_metric_is_described(name: str) -> None:
    assert f"| `{name}` |" in page("metrics")


def test_the_generated_pages_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "scripts/docs.py", "--check"], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{path.relative_to(REPOSITORY)}: {target}"
        for path in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
        for target in links(path)
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_page_that_the_code_names_exists() -> None:
    named = {
        (path.relative_to(REPOSITORY).as_posix(), page)
        for path in [*(REPOSITORY / "src").rglob("*.py"), *(REPOSITORY / "projects").rglob("*.py")]
        for page in re.findall(r"docs/[a-z/_-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert [(path, page) for path, page in sorted(named) if not (REPOSITORY / page).is_file()] == []


def links(path: Path) -> Iterator[str]:
    for part in path.read_text(encoding="utf-8").split("](")[1:]:
        target = part.split(")", 1)[0].split("#", 1)[0]
        if target and "://" not in target and not target.startswith("mailto:"):
            yield target
