"""The order of imports, and what the serving process never loads."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import treadle

REPOSITORY = Path(__file__).parents[2]
TRAINING_LIBRARIES = {"dvc", "joblib", "lightgbm", "mlflow", "onnxmltools", "pandas", "scipy", "skl2onnx", "sklearn", "torch", "xgboost"}
# The steps of a migration are files that Alembic loads; their names begin with a number.
MODULES = [module.name for module in pkgutil.walk_packages(treadle.__path__, "treadle.") if module.name.rpartition(".")[2].isidentifier()]


def loaded_by(*modules: str) -> set[str]:
    """Return the packages that are loaded in a fresh process after it imported the modules."""
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_room_imports_only_what_stands_below_it() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-logo"], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", ["treadle.serving.app", "treadle.serving.worker", "treadle.serving.shipper"])
def test_what_serves_loads_no_training_library(module: str) -> None:
    assert loaded_by(module) & TRAINING_LIBRARIES == set()


def test_help_is_printed_without_the_web_framework_and_the_training_libraries() -> None:
    heavy = TRAINING_LIBRARIES | {"fastapi", "numpy", "onnxruntime", "sqlalchemy"}
    assert loaded_by("treadle.cli.main") & heavy == set()


def test_errors_know_no_framework() -> None:
    assert loaded_by("treadle.errors") & {"fastapi", "starlette", "typer", "rich", "pydantic"} == set()


def test_every_module_can_be_imported() -> None:
    assert "treadle" in loaded_by(*MODULES)
