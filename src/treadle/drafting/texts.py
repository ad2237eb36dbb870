"""What texts stand for: nothing, a number, a truth, a day. Pure: Series of texts in; a missing cell is "" there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas import Series

NOTHING = frozenset({"", "na", "n/a", "nan", "null", "#n/a", "<na>", "?", "-", "--", ".", "k.a.", "0000-00-00"})
"""Texts that say that there is no value, in small letters. "none" is not among them: it may be a category."""

TRUTHS = (
    ("yes", "no"),
    ("y", "n"),
    ("true", "false"),
    ("t", "f"),
    ("on", "off"),
    ("ja", "nein"),
    ("j", "n"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("vrai", "faux"),
    ("sí", "no"),
    ("si", "no"),
    ("sì", "no"),
    ("s", "n"),
    ("sim", "não"),
    ("sim", "nao"),
    ("ja", "nee"),
    ("ja", "nej"),
    ("tak", "nie"),
    ("evet", "hayır"),  # noqa: RUF001 -- Turkish
    ("да", "нет"),
)
"""Pairs of words for true and false, in small letters."""

MARKS = " \u00a0\u202f'\u2019%€$£¥"
"""Characters around and inside numbers that say nothing about their value."""

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_ZONE = re.compile(r"\d{2}:\d{2}\S*(Z|[+-]\d{2}:?\d{2})$")
_DAYS = ("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d")
_WORDS = ("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
ISO = "ISO8601"
PROBE = 200
"""How many different texts are tried before all are."""

Texts = "Series[str]"


@dataclass(frozen=True)
class Numerals:
    """How a column writes its numbers: its decimal mark, the other characters to take away, and their values (NaN where none)."""

    decimal: str
    marks: str
    numbers: "Series[float]"


def nothing(texts: "Series[str]") -> "Series[bool]":
    """Tell which texts say that there is no value."""
    return texts.str.strip().str.casefold().isin(NOTHING)


def truths(values: Sequence[str]) -> dict[str, bool]:
    """Return what each of the different values means if together they are a yes and a no, else nothing."""
    small = {value: value.casefold() for value in values}
    for true, false in TRUTHS:
        if set(small.values()) == {true, false}:
            return {value: word == true for value, word in small.items()}
    return {}


def decimal_of(columns: Sequence["Series[str]"]) -> str:
    """Return the decimal mark of a table, by the votes of texts that can be read in one way only: 12,5 against 12.5."""
    comma = point = 0
    for texts in columns:
        plain = _plain(Series(texts.unique()))
        comma += int(plain.str.fullmatch(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),(\d{1,2}|\d{4,})|[+-]?\d{1,3}(\.\d{3})+,\d+").sum())
        point += int(plain.str.fullmatch(r"[+-]?(\d{1,3}(,\d{3})+|\d+)\.(\d{1,2}|\d{4,})|[+-]?\d{1,3}(,\d{3})+\.\d+").sum())
    return "," if comma > point else "."


def numerals(texts: "Series[str]", decimal: str) -> Numerals:
    """Return the numbers that the texts stand for, read with the decimal mark of the table or, if it fits better, the other one."""
    tried = [_read(texts, mark) for mark in (decimal, "," if decimal == "." else ".")]
    return max(tried, key=lambda found: int(found.numbers.notna().sum()))


def day_forms(texts: "Series[str]") -> list[str]:
    """Return every way to read all of the texts as days or times, as strptime has it; "ISO8601" for those of the standard."""
    different = Series(texts.unique())
    if different.empty or not different.str.contains(r"\d").all() or int(different.str.len().max()) > 32:
        return []
    if different.str.fullmatch(_ISO.pattern).all():
        return [ISO] if _fits(different, ISO) else []
    joined = [day + clock for day in _DAYS + _WORDS for clock in _CLOCKS]
    if different.str.fullmatch(r"\d+").all():
        joined = ["%Y%m%d"] if different.str.fullmatch(r"(19|20)\d{6}").all() else []
    return [form for form in joined if _fits(different.head(PROBE), form) and _fits(different, form)]


def days(texts: "Series[Any]", form: str) -> "Series[Any]":
    """Return texts as times; those with a zone in UTC."""
    return pd.to_datetime(texts, format=form, errors="coerce", utc=zoned(texts, form))


def zoned(texts: "Series[Any]", form: str) -> bool:
    """Tell whether times of the standard name their zone."""
    return form == ISO and bool(texts.dropna().astype(str).str.contains(_ZONE.pattern.replace("(", "(?:")).any())


def _fits(different: "Series[str]", form: str) -> bool:
    return bool(pd.to_datetime(different, format=form, errors="coerce", utc=True).notna().all())


def _plain(texts: "Series[str]") -> "Series[str]":
    return texts.str.replace(f"[{MARKS}]", "", regex=True)


def _read(texts: "Series[str]", decimal: str) -> Numerals:
    group = "," if decimal == "." else "."
    shape = rf"[+-]?(\d{{1,3}}(\{group}\d{{3}})+|\d+)?(\{decimal}\d*)?([eE][+-]?\d+)?"
    different = Series(texts.unique())
    plain = _plain(different)
    readable = plain.str.fullmatch(shape) & plain.str.contains(r"\d")
    values = pd.to_numeric(
        plain.where(readable).str.replace(group, "", regex=False).str.replace(decimal, ".", regex=False), errors="coerce"
    ).astype("float64")
    seen = "".join(different[readable])
    marks = "".join(mark for mark in MARKS + group if mark in seen)
    return Numerals(decimal, marks, texts.map(dict(zip(different, values, strict=True))).astype("float64"))
