"""Adopt an estimator that a function of a file makes: the file is copied into a new project, whose ``build`` calls it."""

import ast
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor

from treadle.bundle.durable import write_through
from treadle.drafting.asked import Asked
from treadle.drafting.construction import estimators
from treadle.drafting.contract import policy_lines
from treadle.drafting.goal import Goal
from treadle.drafting.publish import contract_text, parquet, unwrapped
from treadle.drafting.taken import Taken, taken
from treadle.drafting.write import MARKER_TEXT, NAME, Drafted, draft, next_commands, proposal
from treadle.errors import FunctionUnusable, NotExportable, ProjectExists, ProjectNameInvalid
from treadle.projects import CODE_FILE, CONTRACT_FILE
from treadle.settings import MARKER, Workspace
from treadle.spec import Task
from treadle.training import converters

DATA_FILE = "data.parquet"

MAKE = """make = beside(__file__, "{file}").{function}
"""

BUILD = '''def build(seed):
    """Return the unfitted estimator of {function} in {file}; it gets the columns of the contract."""
    made = make({seed})
    estimator = clone(made[0] if isinstance(made, tuple) else made)
    seeds = {{name: seed for name in estimator.get_params() if name.rpartition("__")[2] == "random_state"}}
    return estimator.set_params(**seeds)
'''

HEAD = "# Adopted by `treadle adopt`. It is yours now: `treadle train {name}` trains it from these files.\n"

LOAD = '''def load(path):
    """Return the rows that came with the estimator, in the form of the contract."""
    return pd.read_parquet(path)
'''


@dataclass(frozen=True)
class Adopted:
    """A project that was written around a function. ``next`` are the commands to type now; ``drafted`` tells of a table that was named."""

    name: str
    folder: str
    estimator: str
    drafted: Drafted | None
    next: tuple[str, ...]


def adopt(named: str, asked: Asked, workspace: Workspace) -> Adopted:
    """Write the project.

    Args:
        named: the function, as FILE.py:function. It returns an estimator, or an estimator, X and y.
        asked: the name of the project, and where its table is; the origin is empty where the function brings the rows.
        workspace: where.

    Raises:
        FunctionUnusable: there is no such function, it fails, or it returns something else.
        ProjectNameInvalid, ProjectExists: the project cannot be called so.
        NotPublishable: the rows that it returns cannot be described.
        NotExportable: a step of the estimator can never be exported, whatever it learns.
    """
    path, function = _parted(named, asked)
    made = _made(named, path, function, asked)
    estimator, rows = (made[0], made[1:]) if isinstance(made, tuple) else (made, None)
    if not isinstance(estimator, BaseEstimator) or not (is_classifier(estimator) or is_regressor(estimator)):
        raise FunctionUnusable(
            named, f"it returns {_shown(made)}, not a classifier or regressor", "Return the estimator, or (estimator, X, y)."
        )
    if rows is None and not asked.origin:
        fix = f"Return (estimator, X, y), or name a table: `treadle adopt {named} {asked.name} --from FILE --target COLUMN`."
        raise FunctionUnusable(named, "it returns an estimator alone, without rows to train it on", fix)
    _require_exportable(estimator)
    file = path.name if path.name != CODE_FILE else "adopted.py"
    seed = "seed" if inspect.signature(function).parameters else ""
    words = {"file": file, "function": function.__name__, "seed": seed}
    drafted = _from_table(asked, workspace, words) if asked.origin else None
    if drafted is None:
        _from_rows(asked, workspace, words, (estimator, *(rows or ())))
    folder = workspace.projects_dir / asked.name
    write_through(folder / file, path.read_bytes())
    name = asked.name
    return Adopted(name, str(folder), type(estimator).__name__, drafted, next_commands(name))


def _parted(named: str, asked: Asked) -> tuple[Path, Callable[..., Any]]:
    file, _, name = named.rpartition(":")
    path = Path(file)
    if not name.isidentifier() or path.suffix != ".py":
        raise FunctionUnusable(named, "it does not name a function of a file", f"Type `treadle adopt FILE.py:function {asked.name}`.")
    if not path.is_file():
        raise FunctionUnusable(
            named, f"there is no file {path}", f"Type `treadle adopt FILE.py:{name} {asked.name}` with the path of the file."
        )
    spec = spec_from_file_location(f"treadle_adopted_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FunctionUnusable(named, f"{path} is not a Python file", "Name a file of Python.")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        fix = "The file must import by itself: put what it needs from files beside it into it, or install it."
        raise FunctionUnusable(named, f"it fails on import with {type(error).__name__}: {error}", fix) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = ", ".join(sorted(key for key, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == spec.name))
        raise FunctionUnusable(
            named, f"{path} has no function {name}; it has {known or 'none'}", f"Type `treadle adopt {path}:function {asked.name}`."
        )
    return path, function


def _made(named: str, path: Path, function: Callable[..., Any], asked: Asked) -> Any:
    needed = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    if len(needed) > 1:
        raise FunctionUnusable(named, f"it wants {len(needed)} arguments", "Let it take none, or the seed alone.")
    try:
        made = function(*([42] if needed else []))
    except Exception as error:
        raise FunctionUnusable(
            named, f"it fails with {type(error).__name__}: {error}", f"Mend {path.name}, then type `treadle adopt {named} {asked.name}`."
        ) from error
    if isinstance(made, tuple) and len(made) == 3:
        return (unwrapped(made[0]), *made[1:])
    return unwrapped(made)


def _require_exportable(estimator: BaseEstimator) -> None:
    """Refuse now what training would refuse only after it has fitted everything."""
    task: Task = "binary" if is_classifier(estimator) else "regression"
    for name, step in estimators(estimator):
        refused = converters.never(step, task)
        if refused is not None:
            raise NotExportable(name or type(estimator).__name__, step, *refused)


def _goal(found: Taken) -> Goal:
    """Return the target of rows that came with an estimator, as a draft knows it."""
    target, task = found.interface.target, found.interface.task
    answers = found.frame[target.name]
    if task == "regression":
        return Goal(target.name, target.name, task, "", spread=float(answers.std()))
    share = float(answers.value_counts(normalize=True).min())
    return Goal(target.name, target.name, task, "", target.classes, target.positive, share=share)


def _shown(made: Any) -> str:
    return f"{len(made)} things" if isinstance(made, tuple) else f"a {type(made).__name__}"


def _from_table(asked: Asked, workspace: Workspace, words: dict[str, str]) -> Drafted:
    """Draft the project as ``init`` does, then let it use the function."""
    drafted = draft(asked, [asked.target] if asked.target else [], workspace)
    folder = Path(drafted.folder)
    contract = (folder / CONTRACT_FILE).read_text(encoding="utf-8")
    contract = re.sub(r"(  #[^\n]*\n)?  preprocessing:\n(    [^\n]*\n)+", "  preprocessing:\n    input: columns\n", contract)
    write_through(folder / CONTRACT_FILE, contract.encode())
    code = (folder / CODE_FILE).read_text(encoding="utf-8")
    write_through(folder / CODE_FILE, _with_function(code, words).encode())
    return replace(drafted, next=())


def _with_function(code: str, words: dict[str, str]) -> str:
    """Return drafted code with another ``build``."""
    lines = code.splitlines()
    tree = ast.parse(code)
    old = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "build")
    lines[old.lineno - 1 : old.end_lineno] = BUILD.format(**words).rstrip("\n").splitlines()
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in reversed(imports):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lightgbm"):
            lines[node.lineno - 1] = "from sklearn.base import clone"
    last = max(node.end_lineno or node.lineno for node in imports)
    added = ["", "from treadle.projects import beside", "", MAKE.format(**words).rstrip("\n")]
    if not any("import clone" in line for line in lines):
        added.insert(0, "from sklearn.base import clone")
    lines[last:last] = added
    return "\n".join(lines) + "\n"


def _from_rows(asked: Asked, workspace: Workspace, words: dict[str, str], made: tuple[Any, ...]) -> None:
    """Write the project around the rows that the function has returned."""
    if not NAME.fullmatch(asked.name):
        raise ProjectNameInvalid(asked.name, f"treadle adopt {words['file']}:{words['function']} {proposal(asked.name)}")
    folder = workspace.projects_dir / asked.name
    if folder.exists():
        raise ProjectExists(asked.name, folder, f"treadle adopt {words['file']}:{words['function']} {asked.name}_2")
    estimator, features, answers = made
    # Fitted, it says itself which columns and classes it has.
    found = taken(clone(estimator).fit(features, answers), features, answers)
    head = f'"""{asked.name}: the estimator of {words["function"]}() in {words["file"]}, adopted."""\n\n'
    code = f"{head}import pandas as pd\nfrom sklearn.base import clone\n\nfrom treadle.projects import beside\n\n{MAKE.format(**words)}\n\n"
    if not (workspace.root / MARKER).is_file():
        write_through(workspace.root / MARKER, MARKER_TEXT.encode())
    folder.mkdir(parents=True)
    policy = "\n".join(["", *policy_lines(_goal(found))]) + "\n"
    contract = contract_text(asked.name, found, policy=policy, head=HEAD, origin=f"adopted from {words['file']}")
    write_through(folder / CONTRACT_FILE, contract.encode())
    write_through(folder / DATA_FILE, parquet(found.frame))
    write_through(folder / CODE_FILE, f"{code}{LOAD}\n\n{BUILD.format(**words)}".encode())
