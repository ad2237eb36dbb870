"""The model.py of a draft: a load() that a person can read, and a build(). Pure: assumptions in, text out."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from treadle.drafting import texts
from treadle.drafting.guess import Assumptions, Column
from treadle.drafting.look import Table
from treadle.drafting.yaml_text import visible

WIDTH = 88
"""Where formatters break lines by default."""


def code_text(name: str, table: Table, assumed: Assumptions) -> str:
    """Return the text of model.py."""
    plan = _Plan(table, assumed)
    parts = [*_head(name, table, assumed, plan), *plan.constants(), "", "", *plan.load(), *_helpers(plan), *_build(assumed)]
    return "\n".join(parts) + "\n"


class _Plan:
    """What load() has to do, in the order in which it does it."""

    def __init__(self, table: Table, assumed: Assumptions) -> None:
        self.table = table
        self.assumed = assumed
        self.goal = assumed.goal
        kept = [column for column in assumed.columns if column.treatment != "left out"]
        self.kept = kept
        self.renamed = {column.raw: column.name for column in kept if column.raw != column.name}
        if self.goal.raw != self.goal.name:
            self.renamed[self.goal.raw] = self.goal.name
        self.numbers = [column for column in kept if column.feature is not None and column.feature.type in {"number", "integer"}]
        self.truths = [column for column in kept if column.sight.kind == "boolean"]
        self.dates = [column for column in kept if column.sight.kind == "date"]
        self.tails = [column for column in kept if column.other]
        self.constant_of = dict(zip([column.name for column in self.tails], _constants(self.tails), strict=True))
        self.from_texts = table.reading.kind == "csv"

    # What stands above load().

    def constants(self) -> Iterator[str]:
        """Yield the constants."""
        if self.renamed:
            yield from _named("RENAMED", self.renamed, "Columns whose names a contract cannot have.")
        yield from _named(
            "COLUMNS", [*(column.name for column in self.kept), self.goal.name], "What model.yaml names; the rest is left out."
        )
        if self.from_texts or self.assumed.nothing:
            yield from _named(
                "MISSING", sorted({*self.assumed.nothing, *([""] if self.from_texts else [])}), "Texts that say that there is no value."
            )
        strict, loose = self._numbers(loose=False), self._numbers(loose=True)
        if strict:
            yield from _named("NUMBERS", strict)
        if loose:
            yield from _named("MIXED", loose, "Numbers with texts among them, which become missing.")
        if self._yes_no():
            yield from _named("YES_NO", self._yes_no())
            yield from _named("TRUTHS", self._words())
        yield from _named("DATES", self._forms()) if self._forms() else ()
        for column in self.tails:
            categories = getattr(column.feature, "categories", ())
            yield from _named(
                self.constant_of[column.name],
                [one for one in categories if one != column.other],
                f"As in model.yaml; every other {column.name} is {column.other!r}.",
            )
        if self.goal.mapping is not None:
            yield from _named("CLASSES", dict(self.goal.mapping), f"The class of each {self.goal.name}.")
        if self.goal.rare:
            yield from _named("TOO_RARE", list(self.goal.rare), "Classes with too few rows to learn; take one out here once it has more.")

    def _numbers(self, *, loose: bool) -> list[str]:
        found = [
            column.name for column in self.numbers if column.sight.text and bool(column.sight.stray) == loose and not self._is_odd(column)
        ]
        return found + ([self.goal.name] if not loose and self.goal.task == "regression" and self.from_texts else [])

    def _is_odd(self, column: Column) -> bool:
        """Tell whether a column writes its numbers with another decimal mark than most."""
        return column.sight.numerals is not None and column.sight.numerals.decimal != self.decimal

    def _words(self) -> dict[str, bool]:
        words: dict[str, bool] = {}
        for column in self.truths:
            words |= column.sight.truths
        return dict(sorted(words.items()))

    def _forms(self) -> dict[str, str]:
        return {column.name: self._form(column) for column in self.dates if column.sight.text}

    def _form(self, column: Column) -> str:
        """Return how dates are read: with the day first in a table with decimal commas, where both would do."""
        forms = column.sight.forms
        if self.assumed.decimal == "." and any(form.startswith("%d/%m") for form in forms):
            return next((form for form in forms if form.startswith("%m/%d")), forms[0])
        return forms[0]

    @property
    def _numerals(self) -> list[texts.Numerals]:
        """How the numbers in texts are written, column by column and the target."""
        found = [*(column.sight.numerals for column in self.numbers), self.goal.numerals]
        return [one for one in found if one is not None]

    @property
    def decimal(self) -> str:
        """The decimal mark of most of the numbers in texts; that of the target if it is one of them."""
        marks = [one.decimal for one in self._numerals]
        return self.goal.numerals.decimal if self.goal.numerals else max(marks, key=marks.count) if marks else self.assumed.decimal

    @property
    def marks(self) -> str:
        """The characters that are taken away from numbers."""
        return "".join(sorted({mark for one in self._numerals if one.decimal == self.decimal for mark in one.marks}))

    @property
    def plain_numbers(self) -> bool:
        """Whether pandas reads the numbers as they stand."""
        return self.decimal == "." and not self.marks

    @property
    def reads(self) -> bool:
        """Whether numbers need a function of their own to be read."""
        return not self.plain_numbers and bool(self._numbers(loose=False) or self._numbers(loose=True))

    @property
    def keeps(self) -> bool:
        """Whether what could not be read is kept as it is written."""
        odd = any(self._is_odd(column) and not column.sight.stray for column in self.numbers)
        return bool(self._numbers(loose=False) or self._forms()) or odd

    # load() itself.

    def load(self) -> Iterator[str]:
        """Yield the lines of load."""
        yield f"def load(raw: {'DataFrame' if self.table.reading.kind == 'sql' else 'Path'}) -> DataFrame:"
        yield f'    """Return the rows of {_quoted_in_docstring(self.table.called)} as model.yaml describes them."""'
        yield from (f"    {line}" if line else "" for line in self._steps())
        yield "    return frame[COLUMNS].reset_index(drop=True)"

    def _steps(self) -> Iterator[str]:
        yield from self._read()
        if self.assumed.padded and self.from_texts:
            yield "frame = frame.apply(lambda column: column.str.strip())"
        if self.renamed:
            yield "frame = frame.rename(columns=RENAMED)"
        yield from self._target()
        numbers, coerced = ("pd.to_numeric", ', errors="coerce"') if self.plain_numbers else ("_number", "")
        if self._numbers(loose=False):
            yield from ("for name in NUMBERS:", f"    frame[name] = _kept({numbers}(frame[name]{coerced}), frame[name])")
        if self._numbers(loose=True):
            yield f"frame[MIXED] = frame[MIXED].apply({numbers}{coerced})"
        yield from self._typed_numbers()
        yield from self._truths()
        if self._forms():
            yield "for name, form in DATES.items():"
            yield f'    days = pd.to_datetime(frame[name], format=form, errors="coerce"{self._zone()})'
            yield "    frame[name] = _kept(days, frame[name])"
        for column in self.dates:
            if not column.sight.text:
                name = _literal(column.name)
                yield f"frame[{name}] = pd.to_datetime(frame[{name}])"
        yield from self._texts()

    def _read(self) -> Iterator[str]:
        if self.table.reading.kind == "csv":
            how = self.table.reading
            yield "# Every cell as text first: pandas would guess anew with each file."
            yield "frame = pd.read_csv("
            given = {"sep": _literal(how.separator), "encoding": _literal(how.encoding), "dtype": "str"}
            yield "    raw,"
            yield from (f"    {key}={value}," for key, value in given.items())
            yield from ("    keep_default_na=False,", "    na_values=MISSING,")
            yield ")"
            return
        yield "frame = pd.read_parquet(raw)" if self.table.reading.kind == "parquet" else "frame = raw.copy()"
        yield "frame.columns = frame.columns.map(str)"
        if self.assumed.nothing:
            yield "frame = frame.replace(MISSING, None)"

    def _target(self) -> Iterator[str]:
        name = _literal(self.goal.name)
        if self.goal.mapping is not None:
            yield f"frame[{name}] = frame[{name}].map(CLASSES)"
        if self.goal.unlabelled:
            yield f"frame = frame.dropna(subset=[{name}])  # {self.goal.unlabelled} rows had no {visible(self.goal.name)}"
        if self.goal.rare:
            yield f"frame = frame[~frame[{name}].isin(TOO_RARE)]"

    def _typed_numbers(self) -> Iterator[str]:
        for column in self.numbers:
            numerals, name = column.sight.numerals, _literal(column.name)
            if numerals is not None and self._is_odd(column):
                read = f"frame[{name}]{''.join(_plain_calls(numerals.marks, numerals.decimal))}"
                if column.sight.stray:
                    yield f'frame[{name}] = pd.to_numeric({read}, errors="coerce")'
                else:
                    yield f'read = pd.to_numeric({read}, errors="coerce")'
                    yield f"frame[{name}] = _kept(read, frame[{name}])"
            if not column.sight.text and column.sight.written.dtype == object:
                yield f"frame[{name}] = pd.to_numeric(frame[{name}])"

    def _truths(self) -> Iterator[str]:
        if self._yes_no():
            yield "for name in YES_NO:"
            yield "    frame[name] = frame[name].map(lambda word: TRUTHS.get(word, word))"

    def _yes_no(self) -> list[str]:
        return [column.name for column in self.truths if column.sight.text]

    def _zone(self) -> str:
        zoned = any(texts.zoned(column.sight.written, self._form(column)) for column in self.dates if column.sight.text)
        return ", utc=True" if zoned else ""

    def _texts(self) -> Iterator[str]:
        for column in self.kept:
            name = _literal(column.name)
            as_text = column.treatment == "entity" or (column.feature is not None and column.feature.type == "category")
            if as_text and column.sight.kind == "number" and not column.sight.text:
                yield f'frame[{name}] = frame[{name}].astype("Int64").astype("string")'
            if column.other:
                yield f"known = frame[{name}].isin({self.constant_of[column.name]}) | frame[{name}].isna()"
                yield f"frame[{name}] = frame[{name}].where(known, {_literal(column.other)})"


def _head(name: str, table: Table, assumed: Assumptions, plan: _Plan) -> Iterator[str]:
    yield f'"""{name}: {_quoted_in_docstring(assumed.goal.name)} from {_quoted_in_docstring(table.called)}.'
    yield ""
    yield from textwrap.wrap(
        f"Drafted by `treadle init {name}`; it is yours now, so change what you know better. After a change `treadle train {name}` shows "
        "whether it still keeps what model.yaml promises.",
        WIDTH,
    )
    yield '"""'
    yield ""
    if table.reading.kind != "sql":
        yield from ("from pathlib import Path", "")
    yield "import pandas as pd"
    yield f"from lightgbm import {_learner(assumed)}"
    yield "from pandas import DataFrame" + (", Series" if plan.keeps or plan.reads else "")
    yield ""


def _helpers(plan: _Plan) -> Iterator[str]:
    if plan.reads:
        shown = "1.234,5" if plan.decimal == "," else "1,234.5"
        yield from (
            "",
            "",
            "def _number(texts: Series) -> Series:",
            f'    """Return texts such as {shown} as numbers, others as missing."""',
            *(f"    texts = texts{call}" for call in _plain_calls(plan.marks, plan.decimal)),
            '    return pd.to_numeric(texts, errors="coerce")',
        )
    if plan.keeps:
        yield from (
            "",
            "",
            "def _kept(read: Series, written: Series) -> Series:",
            '    """Return what was read; what was not stays as written, and the checks name it."""',
            "    return read.where(read.notna() | written.isna(), written)",
        )


def _build(assumed: Assumptions) -> Iterator[str]:
    learner = _learner(assumed)
    yield from ("", "", f"def build(seed: int) -> {learner}:", '    """Return the unfitted estimator: small trees that learn slowly."""')
    yield f"    return {learner}("
    settings: dict[str, object] = {
        "n_estimators": 200,
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_child_samples": max(5, min(20, assumed.rows // 50)),
        "subsample": 0.8,
        "subsample_freq": 1,
        "colsample_bytree": 0.8,
        "reg_lambda": 1.0,
    }
    yield from (f"        {key}={value}," for key, value in settings.items())
    yield "        random_state=seed,"
    yield "        n_jobs=1,  # with deterministic: the same seed gives the same model, on every machine"
    yield from ("        deterministic=True,", "        force_row_wise=True,", "        verbose=-1,", "    )")


def _learner(assumed: Assumptions) -> str:
    return "LGBMRegressor" if assumed.goal.task == "regression" else "LGBMClassifier"


def _named(name: str, value: Sequence[Any] | Mapping[Any, Any], why: str = "") -> Iterator[str]:
    """Yield a constant as a formatter would write it, and why it is there."""
    mapping = isinstance(value, Mapping)
    items = (
        [f"{_literal(key)}: {_literal(one)}" for key, one in value.items()]
        if isinstance(value, Mapping)
        else [_literal(one) for one in value]
    )
    opening, closing = ("{", "}") if mapping else ("[", "]")
    whole = f"{name} = {opening}{', '.join(items)}{closing}"
    if len(whole) <= WIDTH:
        yield whole
    else:
        yield f"{name} = {opening}"
        yield from (f"    {item}," for item in items)
        yield closing
    if why:
        yield f'"""{_quoted_in_docstring(why)}"""'


def _literal(value: object) -> str:
    """Return a value as Python, texts in double quotes."""
    if not isinstance(value, str):
        return repr(value)
    quoted = repr(value)
    return f'"{quoted[1:-1]}"' if '"' not in value and not quoted.startswith('"') and "\\'" not in quoted else quoted


def _constants(columns: Sequence[Column]) -> list[str]:
    """Return the name of each column's constant, each once: names that differ in signs or accents only get numbers."""
    found: list[str] = []
    for column in columns:
        letters = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in column.name.upper())
        plain = name = f"KEPT_{letters}"
        number = 2
        while name in found:
            name, number = f"{plain}_{number}", number + 1
        found.append(name)
    return found


def _plain_calls(marks: str, decimal: str) -> list[str]:
    """Return the calls that make texts plain numbers."""
    strip = [f'.str.replace(r"[{_in_class(marks)}]", "", regex=True)'] if marks else []
    return strip + (['.str.replace(",", ".")'] if decimal == "," else [])


def _in_class(marks: str) -> str:
    names = {"\u00a0": "\\xa0", "\u202f": "\\u202f", "\u2019": "\\u2019"}
    return "".join(names.get(mark, mark) for mark in marks)


def _quoted_in_docstring(text: str) -> str:
    return visible(text.replace("\\", "\\\\").replace('"""', "'''").rstrip('"'))
