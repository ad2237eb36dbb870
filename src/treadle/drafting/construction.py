"""From an estimator to the Python text that makes it anew: readable, and proved to make the same.

Only what the exporter knows can be written: estimators of scikit-learn, LightGBM and XGBoost with plain parameters. What cannot is
refused with its step and parameter: a file of one's own can say it (``treadle adopt``).
"""

import inspect
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer

from treadle.errors import NotWritable

LIBRARIES = ("sklearn", "lightgbm", "xgboost", "numpy", "scipy", "skl2onnx")
WIDTH = 110
LONGEST = 60
"""Most values of a list or an array that are written."""

SEED = "random_state"


class Text(NamedTuple):
    """A piece of source: ``head`` alone, or with ``items`` between brackets, which break into lines where they get long."""

    head: str
    items: tuple[Any, ...] | None = None
    tail: str = ""

    @property
    def flat(self) -> str:
        """All of it in one line."""
        return self.head + ", ".join(item.flat for item in self.items or ()) + self.tail

    def lines(self, indent: int, room: int = 0) -> str:
        """Return the text for a place ``indent`` from the left; ``room`` is what stands before and after it in its line."""
        if not self.items or indent + room + len(self.flat) <= WIDTH:
            return self.flat
        inner = " " * (indent + 4)
        parts = "".join(f"{inner}{item.lines(indent + 4, 1)},\n" for item in self.items)
        return f"{self.head}\n{parts}{' ' * indent}{self.tail}"


def construction(estimator: Any) -> tuple[list[str], str]:
    """Return the imports and the function ``build(seed)`` that make this estimator, fitted or not, without what it has learned.

    Whatever is random in it takes ``seed``. Columns that a function picked at the fit are written down as those it picked.

    Raises:
        NotWritable: a part of it cannot be written.
    """
    wanted = resolved(estimator)
    writer = _Writer()
    text = writer.text(wanted, "the estimator", "")
    body = f"def build(seed):\n    return {text.lines(4, len('return '))}\n"
    imports = writer.imports
    _prove(imports, body, wanted)
    return imports, body


def resolved(estimator: Any) -> Any:
    """Return a copy in which every ColumnTransformer names the columns that it picked, instead of a function that picks."""
    mine = deepcopy(estimator)
    for step in _all(mine):
        if isinstance(step, ColumnTransformer) and hasattr(step, "transformers_"):
            picked = {name: where for name, _, where in step.transformers_}
            step.transformers = [
                (name, what, _plain(picked[name]) if callable(where) else where) for name, what, where in step.transformers
            ]
    return mine


def estimators(estimator: BaseEstimator) -> Iterator[tuple[str, BaseEstimator]]:
    """Yield an estimator, fitted or not, and every one among its parameters, with the path of its names."""
    yield "", estimator
    for name, value in sorted(estimator.get_params(deep=True).items()):
        if isinstance(value, BaseEstimator):
            yield name.replace("__", "."), value


def _plain(columns: Any) -> Any:
    return list(columns) if not isinstance(columns, slice | str | int) else columns


def _all(value: Any) -> Iterator[Any]:
    """Yield every estimator among the parameters of one."""
    if isinstance(value, BaseEstimator):
        yield value
        for part in value.get_params(deep=False).values():
            yield from _all(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _all(part)


class _Writer:
    """Writes values, and remembers what must be imported for them."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self._modules: set[str] = set()

    @property
    def imports(self) -> list[str]:
        whole = [f"import {'numpy as np' if name == 'numpy' else name}" for name in sorted(self._modules)]
        return [*whole, *(f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(self._names.items()))]

    def text(self, value: Any, step: str, parameter: str) -> Text:
        """Return how a value is written.

        Raises:
            NotWritable: it cannot be.
        """
        if isinstance(value, BaseEstimator):
            return self._estimator(value, step, parameter)
        if isinstance(value, list | tuple | set | frozenset | np.ndarray):
            return self._many(value, step, parameter)
        if isinstance(value, dict):
            pairs = [(self.text(key, step, parameter), self.text(what, step, parameter)) for key, what in value.items()]
            return Text("{", tuple(what._replace(head=f"{key.flat}: {what.head}") for key, what in pairs), "}")
        if isinstance(value, slice):
            return Text(f"slice({value.start!r}, {value.stop!r}, {value.step!r})")
        if isinstance(value, type | np.ufunc) or callable(value):
            return Text(self._known(value, step, parameter))
        return Text(self._scalar(value, step, parameter))

    def _estimator(self, value: BaseEstimator, step: str, parameter: str) -> Text:
        kind = type(value)
        name, leading = self._known(kind, step, parameter), _leading(kind)
        items = []
        for key, given in _changed(value).items():
            if key == SEED:
                items.append(Text("random_state=seed"))
                continue
            part = self.text(given, f"{step}.{name}" if step != "the estimator" else name, key)
            items.append(part if key == leading and not items else part._replace(head=f"{key}={part.head}"))
        return Text(f"{name}(", tuple(items), ")")

    def _many(self, value: Any, step: str, parameter: str) -> Text:
        values = value.tolist() if isinstance(value, np.ndarray) else sorted(value) if isinstance(value, set | frozenset) else value
        if len(values) > LONGEST or (isinstance(value, np.ndarray) and (value.ndim > 1 or value.size > LONGEST)):
            raise NotWritable(step, parameter, f"{len(values)} values are too many to write down")
        items = tuple(self.text(one, step, parameter) for one in values)
        if isinstance(value, tuple):
            return Text("(", items, ",)" if len(items) == 1 else ")")
        return Text("{", items, "}") if isinstance(value, set | frozenset) and items else Text("[", items, "]")

    def _known(self, value: Any, step: str, parameter: str) -> str:
        """Return the name of a class or function of a library, and import it."""
        if isinstance(value, np.ufunc):
            self._modules.add("numpy")
            return f"np.{value.__name__}"
        module, name = str(getattr(value, "__module__", "")), str(getattr(value, "__qualname__", ""))
        if module == "builtins":
            return name
        if module.partition(".")[0] not in LIBRARIES or not name.isidentifier():
            what = "a lambda" if name.endswith("<lambda>") else f"{name or type(value).__name__} of your own"
            raise NotWritable(step, parameter, f"it is {what}")
        if module.partition(".")[0] == "numpy":
            self._modules.add("numpy")
            return f"np.{name}"
        public = _public(module, name, value)
        if public is None:
            raise NotWritable(step, parameter, f"{name} cannot be imported from {module}")
        self._names.setdefault(public, set()).add(name)
        return name

    def _scalar(self, value: Any, step: str, parameter: str) -> str:
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, float) and not math.isfinite(plain):
            return f'float("{plain}")'
        if plain is None or isinstance(plain, bool | int | float | str | bytes):
            return repr(plain) if not isinstance(plain, str) or '"' in plain or "\\" in repr(plain) else f'"{plain}"'
        raise NotWritable(step, parameter, f"it is a {type(value).__name__}")


def _public(module: str, name: str, value: Any) -> str | None:
    """Return the shortest module that offers ``value`` under ``name``."""
    parts = module.split(".")
    shorter = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((one for one in shorter if getattr(import_module(one), name, None) is value), None)


def _leading(kind: type) -> str | None:
    """Return the parameter that is written without its name: a first one without a default, such as steps or transformers."""
    first = next((one for one in inspect.signature(kind).parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD), None)
    return first.name if first is not None and first.default is first.empty else None


def _changed(value: BaseEstimator) -> dict[str, Any]:
    """Return the parameters that are not as they are by default; the seed always."""
    defaults = {name: one.default for name, one in inspect.signature(type(value)).parameters.items()}
    given: dict[str, Any] = value.get_params(deep=False)
    return {key: what for key, what in given.items() if key == SEED or not _same(what, defaults.get(key))}


def _prove(imports: list[str], body: str, wanted: Any) -> None:
    """Run the text and compare what it makes with what was meant.

    Raises:
        NotWritable: it is not the same.
    """
    scope: dict[str, Callable[[int], Any]] = {}
    exec("\n".join([*imports, body]), scope)  # noqa: S102 - our own text, from parameters that were written one by one
    seed = 7
    made = scope["build"](seed)
    seeds = {name: seed for name in wanted.get_params() if name.rpartition("__")[2] == SEED}
    different = _difference(made, deepcopy(wanted).set_params(**seeds), "the estimator", "")
    if different is not None:
        raise NotWritable(*different, "written down and read again it is another value")


def _difference(made: Any, wanted: Any, step: str, parameter: str) -> tuple[str, str] | None:
    """Return the step and the parameter in which two estimators differ, or None."""
    if not isinstance(wanted, BaseEstimator):
        return None if _same(made, wanted) else (step, parameter)
    if type(made) is not type(wanted):
        return step, parameter
    mine, name = made.get_params(deep=False), type(wanted).__name__
    parts = (_difference(mine.get(key), what, name, key) for key, what in wanted.get_params(deep=False).items())
    return next((one for one in parts if one is not None), None)


def _same(made: Any, wanted: Any) -> bool:
    """Tell whether two parameters mean the same; a list and an array of the same values do."""
    if isinstance(wanted, BaseEstimator):
        return _difference(made, wanted, "", "") is None
    if isinstance(wanted, list | tuple | np.ndarray) and isinstance(made, list | tuple | np.ndarray):
        return len(made) == len(wanted) and all(_same(one, other) for one, other in zip(made, wanted, strict=True))
    if isinstance(wanted, dict) and isinstance(made, dict):
        return made.keys() == wanted.keys() and all(_same(made[key], wanted[key]) for key in wanted)
    if isinstance(wanted, slice) or callable(wanted):
        return bool(made == wanted)
    if isinstance(wanted, float | np.floating) and isinstance(made, float | int) and math.isnan(wanted):
        return math.isnan(made)
    return bool(isinstance(made, bool) == isinstance(wanted, bool | np.bool_) and made == wanted)
