"""What to paste into model.yaml when the data are right and the contract is not: a wider range, a category, a column, a new name."""

import math
from collections.abc import Sequence
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from treadle.spec import EPOCH, CategoryFeature, DateFeature, Feature, NumberFeature
from treadle.spec.evolution import edit_for

_FEATURE: TypeAdapter[Feature] = TypeAdapter(Feature)


def widened(old: NumberFeature | DateFeature, side: str, bound: float) -> str:
    """Return a feature whose ``side`` (min or max) reaches to ``bound``, which for a date is in days after 1970-01-01."""
    was = getattr(old, side)
    reached = EPOCH + timedelta(days=int(bound)) if isinstance(old, DateFeature) else rounded(bound, up=side == "max")
    said = was if isinstance(old, DateFeature) else f"{was:g}"
    return f"# {side} was {said}\n{edit_for(old.model_copy(update={side: reached}))}"


def with_categories(old: CategoryFeature, fresh: Sequence[str]) -> str:
    """Return a category feature that also knows ``fresh``."""
    return f"# new: {', '.join(fresh)}\n{edit_for(old.model_copy(update={'categories': (*old.categories, *fresh)}))}"


def renamed(old: Feature | None, name: str, likely: str) -> str:
    """Return what to do about a column that is called ``likely`` now; ``old`` is its feature, if it is one."""
    in_code = f'# in load() of model.py, so that callers notice nothing:\nframe = frame.rename(columns={{"{likely}": "{name}"}})\n'
    if old is None:
        return in_code
    return f"{in_code}\n# or in model.yaml, if nobody calls the model yet:\n{edit_for(old.model_copy(update={'name': likely}))}"


def added(**keys: object) -> str:
    """Return a new feature; "" if no feature can be called so."""
    try:
        return edit_for(_FEATURE.validate_python(keys))
    except ValidationError:
        return ""


def rounded(bound: float, *, up: bool) -> float:
    """Return a bound of three digits that lies no nearer: 512.3 becomes 513, and 0.01234 becomes 0.0124; whole numbers stay."""
    if bound.is_integer():
        return bound
    size = 10.0 ** (math.floor(math.log10(abs(bound))) - 2)
    return float(f"{(math.ceil if up else math.floor)(bound / size) * size:.6g}")
