"""Read a ``model.yaml``, and say what is wrong with one: each problem names its key."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from treadle.errors import ContractInvalid
from treadle.spec.contract import Contract

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""What ``safe_load`` reads, but in C where the library has that: every worker reads the contracts before it is ready."""


def load_contract(path: Path, overlay: str = "", *, tried: Path | None = None) -> Contract:
    """Read a ``model.yaml``, with ``policy.<overlay>.yaml`` beside it laid over the policy half if it exists.

    ``tried`` names one more overlay, which need not lie there: a policy that is only tried out. It is laid over last.

    Raises:
        ContractInvalid: the file is missing, is not YAML, or breaks a rule; each problem names its key.
    """
    content = _read_yaml(path)
    contract = _validated(path, content)
    beside = path.with_name(f"policy.{overlay}.yaml")
    for over in [*([beside] if overlay and beside.is_file() else []), *([tried] if tried is not None else [])]:
        content = {**content, "policy": _laid_over(content.get("policy") or {}, _read_yaml(over))}
        contract = _validated(over, content)
    return contract


def _validated(path: Path, content: dict[str, Any]) -> Contract:
    try:
        return Contract.model_validate(content)
    except ValidationError as error:
        raise ContractInvalid(path, _problems(error)) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 - either loader is a safe one
    except OSError as error:
        raise ContractInvalid(path, [f"cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractInvalid(path, [f"is not YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise ContractInvalid(path, [f"holds {type(content).__name__}, not a mapping of keys"])
    return content


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _laid_over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _problems(error: ValidationError) -> list[str]:
    """Return a line per problem. A list is not also called too short because its items were refused."""
    items = error.errors()
    refused = {item["loc"][:depth] for item in items for depth in range(len(item["loc"]))}
    told = [item for item in items if item["type"] != "too_short" or item["loc"] not in refused]
    return [_problem(item["loc"], item["type"], item["msg"], item["input"]) for item in told]


def _problem(location: Sequence[int | str], kind: str, message: str, value: object) -> str:
    key = ".".join(map(str, location)) or "the contract"
    if kind == "extra_forbidden":
        return f"{key}: there is no such key"
    said = message.removeprefix("Value error, ")
    if isinstance(value, dict):  # the problem is what the mapping lacks or how its keys go together
        return f"{key}: {said}"
    shown = repr(value)
    hint = (
        "; put it in quotes, for YAML takes it for something else"
        if kind == "string_type" and isinstance(value, bool | int | float)
        else ""
    )
    return f"{key}: {said} (it is {shown if len(shown) < 80 else shown[:77] + '...'}{hint})"
