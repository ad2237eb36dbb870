"""Every error of Treadle is made here from sample facts: it must say what failed, with those facts, in whole sentences."""

import ast
import inspect
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from treadle import errors
from treadle.errors import TreadleError, choose_from

CLASSES = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TreadleError) and kind is not TreadleError),
    key=lambda kind: kind.__name__,
)


def sample(annotation: Any, name: str) -> Any:
    """Return a value of this type that can be recognised in a sentence."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return sample(next(kind for kind in inner if kind is not types.NoneType), name)
    if origin is typing.Literal:
        return inner[0]
    if origin in (Sequence, Collection, Iterable, list, tuple, set, frozenset):
        return [sample(inner[0], f"{name}_one"), sample(inner[0], f"{name}_two")]
    if origin in (Mapping, dict):
        return {sample(inner[0], f"{name}_key"): sample(inner[1], f"{name}_value")}
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        return annotation(*(sample(kind, field) for field, kind in typing.get_type_hints(annotation).items()))
    text = f"a_{name}"
    simple: dict[Any, object] = {
        str: text,
        int: 4711,
        float: 0.25,
        bool: True,
        bytes: text.encode(),
        Path: Path("/folder", text),
        object: frozenset([text]),
        BaseException: ValueError(text),
        Exception: ValueError(text),
    }
    return simple[annotation]


def make(kind: type[TreadleError]) -> tuple[TreadleError, dict[str, Any]]:
    signature = inspect.signature(kind)
    hints = typing.get_type_hints(kind.__init__)
    facts = {name: sample(hints[name], name) for name in signature.parameters}
    by_place = [facts[name] for name, parameter in signature.parameters.items() if parameter.kind is not parameter.KEYWORD_ONLY]
    by_name = {name: facts[name] for name, parameter in signature.parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}
    return kind(*by_place, **by_name), facts


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_tells_its_facts_in_sentences(kind: type[TreadleError]) -> None:
    error, facts = make(kind)
    begin = error.what.lstrip("'\"")
    assert begin[0].isupper() or begin.startswith(tuple(str(value) for value in facts.values()))
    assert error.fix == "" or error.fix.endswith((".", "!", "?", ")", "`")) or error.fix[-1].isalnum()
    for name, value in facts.items():
        if isinstance(value, str | Path):
            assert str(value) in str(error), f"{kind.__name__} does not tell its {name}"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_has_a_docstring_of_its_own(kind: type[TreadleError]) -> None:
    assert kind.__doc__ != TreadleError.__doc__
    assert (kind.__doc__ or "").strip().endswith(".")


def test_no_error_is_named_twice() -> None:
    rooms = Path(errors.__file__).parent.glob("*.py")
    names = [node.name for room in rooms for node in ast.parse(room.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    assert sorted(names) == sorted(set(names))


def test_every_error_can_be_had_from_the_package() -> None:
    rooms = Path(errors.__file__).parent.glob("*.py")
    made = {node.name for room in rooms for node in ast.parse(room.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}
    assert made <= set(errors.__all__)


def test_the_text_has_what_problems_and_fix_in_this_order() -> None:
    error = TreadleError("It broke.", problems=["first", "second"], fix="Mend it.")
    assert str(error) == "It broke.\n  - first\n  - second\nMend it."
    assert (error.what, error.problems, error.fix) == ("It broke.", ("first", "second"), "Mend it.")


def test_the_text_of_a_bare_error_is_one_line() -> None:
    assert str(TreadleError("It broke.")) == "It broke."


@pytest.mark.parametrize(("names", "text"), [(["b", "a"], "choose from a, b"), ([], "there are none yet")])
def test_choose_from_lists_what_there_is(names: list[str], text: str) -> None:
    assert choose_from(names) == text
