"""Publish an estimator from a notebook: a project is written, a version sealed from the estimator as it is, gated and promoted."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from sklearn.base import BaseEstimator
from sklearn.model_selection._search import BaseSearchCV

from treadle.bundle.durable import write_through
from treadle.drafting.agreement import Agreement, agreement
from treadle.drafting.construction import construction, resolved
from treadle.drafting.taken import Taken, taken
from treadle.drafting.write import MARKER_TEXT, NAME, proposal
from treadle.errors import ProjectEdited, ProjectNameInvalid, PublishRefused
from treadle.loop import Loop
from treadle.projects import CODE_FILE, CONTRACT_FILE, find
from treadle.registry.tracking import Registered
from treadle.registry.versions import train_and_register
from treadle.settings import MARKER, Workspace
from treadle.spec import load_contract
from treadle.state.store import Store
from treadle.telling import Tell

DATA_FILE = "data.parquet"
WRITTEN_FILE = "published.json"
"""The SHA-256 of each file as publish wrote it: a file that is still so may be written over by the next publish."""

RARE = 0.1
"""Where a class has a smaller share, accuracy and ROC-AUC say little of it."""

POLICY = re.compile(r"^policy:.*\n?(?:(?:[ \t#].*)?\n|[ \t#].*\Z)*", re.MULTILINE)
"""The policy half of a model.yaml in blocks, with its comments."""

HEAD = "# Published from a notebook by treadle.publish. It is yours now: `treadle train {name}` trains it anew from these files.\n"


@dataclass(frozen=True)
class Made:
    """A version that was published: where it is registered, its project, and how its answers agree with the notebook's."""

    registered: Registered
    folder: Path
    agreement: Agreement
    taken: Taken


def unwrapped(fitted: Any) -> Any:
    """Return the estimator that answers: of a search, the best one that it has found."""
    return fitted.best_estimator_ if isinstance(fitted, BaseSearchCV) and hasattr(fitted, "best_estimator_") else fitted


def publish(  # noqa: PLR0913 - what can be said of a model from a notebook
    fitted: Any,
    features: Any,
    answers: Any,
    workspace: Workspace,
    store: Store,
    *,
    name: str,
    actor: str,
    positive: object = None,
    seed: int = 42,
    replace: bool = False,
    tell: Tell,
) -> Made:
    """Write the project, seal and register the version, gate it and give it the traffic.

    Raises:
        ProjectNameInvalid: a project cannot be called so.
        ProjectEdited: there is a project of this name that publish has not written, or that was changed since.
        NotPublishable, AnswersDiffer, NotWritable, NotExportable: the estimator cannot be published; the error says what to change.
        DataInvalid, SplitImpossible: the rows cannot be trained on.
        ContractInvalid: the model.yaml that is there cannot be read, so that its policy could not be kept.
        PublishRefused: the gate lets it not pass.
        ConsentMissing: it does, but people must agree (``policy.approval``), as for ``treadle promote``.
    """
    if not NAME.fullmatch(name):
        raise ProjectNameInvalid(name, f'treadle.publish(…, name="{proposal(name)}")')
    estimator = unwrapped(fitted)
    found = taken(estimator, features, answers, positive=positive)
    agreed = agreement(estimator, _named(estimator, features), found)
    files = project_files(name, estimator, found, policy=_kept_policy(workspace.projects_dir / name))
    folder = _written(workspace, name, files, replace=replace)
    project = find(workspace, name)
    registered = train_and_register(workspace, store, project, seed=seed, published=estimator, tell=tell)
    verdict, deployment = Loop(workspace, store).promote(project, registered.version, actor=actor)
    if deployment is None:
        raise PublishRefused(name, registered.version, verdict.reasons)
    return Made(registered, folder, agreed, found)


def _named(estimator: Any, features: Any) -> Any:
    names = getattr(estimator, "feature_names_in_", None)
    return features[list(names)] if names is not None and isinstance(features, pd.DataFrame) else features


def _kept_policy(folder: Path) -> str:
    """Return the policy half of the project that is there, as it is written; nothing where there is none.

    Raises:
        ContractInvalid: it cannot be read. To go on without it might drop a limit of the gate or a consent that it asks for.
    """
    path = folder / CONTRACT_FILE
    if not path.is_file():
        return ""
    load_contract(path)
    text = path.read_text(encoding="utf-8")
    policy = yaml.safe_load(text).get("policy")
    if policy is None:
        return ""
    block = POLICY.search(text)
    if block and yaml.safe_load(block[0]) == {"policy": policy}:
        return block[0].rstrip("\n") + "\n"
    return yaml.safe_dump({"policy": policy}, sort_keys=False, allow_unicode=True)


def project_files(name: str, estimator: BaseEstimator, found: Taken, *, policy: str = "") -> dict[str, bytes]:
    """Return the files of the project; ``policy`` is the text of a policy half to keep.

    Raises:
        NotWritable: no code can make the estimator anew.
    """
    learning = resolved(estimator)
    if found.classes is not None:
        _weigh_by_index(learning, [value.item() if hasattr(value, "item") else value for value in found.classes])
    return {
        CONTRACT_FILE: contract_text(name, found, policy=policy).encode(),
        CODE_FILE: code_text(name, learning).encode(),
        DATA_FILE: parquet(found.frame),
    }


def _weigh_by_index(estimator: Any, classes: Sequence[Any]) -> None:
    """Let weights of classes name a class by its index, as which a training gives it."""
    for key, weights in estimator.get_params().items():
        if key.rpartition("__")[2] == "class_weight" and isinstance(weights, Mapping):
            estimator.set_params(**{key: {classes.index(one): weight for one, weight in weights.items()}})


def contract_text(name: str, found: Taken, *, policy: str = "", head: str = HEAD, origin: str = "published from a notebook") -> str:
    """Return the text of model.yaml, with the text of a policy half if there is one to keep."""
    count = len(found.interface.features)
    columns = "1 column" if count == 1 else f"{count} columns"
    interface = found.interface.model_dump(mode="json", exclude_defaults=True)
    contract: dict[str, Any] = {
        "name": name,
        "description": f"{found.interface.target.name}, predicted from {columns}; {origin}.",
        "data": [{"kind": "file", "path": f"projects/{name}/{DATA_FILE}"}],
        "interface": interface,
    }
    rarest = min(found.frame[found.interface.target.name].value_counts(normalize=True)) if found.interface.task == "binary" else 1.0
    if rarest < RARE and not policy:
        contract["policy"] = {"gate": {"metric": "average_precision"}}
    text = yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, default_flow_style=None, width=118)
    return head.format(name=name) + text + policy


def code_text(name: str, estimator: Any) -> str:
    """Return the text of model.py."""
    imports, body = construction(estimator)
    return "\n".join(
        [
            f'"""{name}: the estimator of a notebook, made anew with the parameters that it had there."""\n',
            *imports[: sum(one.startswith("import ") for one in imports)],
            "import pandas as pd",
            *imports[sum(one.startswith("import ") for one in imports) :],
            "\n",
            "def load(path):",
            '    """Return the rows that it was fitted on there, in the form of the contract."""',
            "    return pd.read_parquet(path)\n\n",
            body.replace(
                "def build(seed):\n", 'def build(seed):\n    """Return the unfitted estimator; it gets the columns of the contract."""\n'
            ),
        ]
    )


def parquet(frame: pd.DataFrame) -> bytes:
    """Return rows as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _written(workspace: Workspace, name: str, files: Mapping[str, bytes], *, replace: bool) -> Path:
    """Write the project's folder; one that publish wrote, and nobody has touched, is written over."""
    folder = workspace.projects_dir / name
    if folder.exists() and not replace:
        _require_untouched(folder)
    if not (workspace.root / MARKER).is_file():
        write_through(workspace.root / MARKER, MARKER_TEXT.encode())
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        write_through(folder / file, content)
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    write_through(folder / WRITTEN_FILE, json.dumps(sums, indent=2).encode() + b"\n")
    return folder


def _require_untouched(folder: Path) -> None:
    note = folder / WRITTEN_FILE
    if not note.is_file():
        raise ProjectEdited(folder, [CONTRACT_FILE, CODE_FILE])
    sums: dict[str, str] = json.loads(note.read_text(encoding="utf-8"))
    touched = [
        file
        for file, known in sums.items()
        if not (folder / file).is_file() or hashlib.sha256((folder / file).read_bytes()).hexdigest() != known
    ]
    if touched:
        raise ProjectEdited(folder, touched)
