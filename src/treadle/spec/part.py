"""What every part of a contract is made of: frozen models that refuse unknown keys, durations, canonical JSON."""

import hashlib
import json
import re
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Column = Annotated[str, StringConstraints(pattern=r"^\S(.{0,198}\S)?$")]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: object) -> object:
    """Turn "500ms", "4s", "15m", "2h" or "30d" into seconds; leave the rest to pydantic."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value)
        if not match:
            raise ValueError('a duration is a number with a unit ms, s, m, h or d, such as "30d"')
        return float(match[1]) * _UNITS[match[2]]
    return value


Duration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str | float), Field(ge=0)]
"""Seconds as a float; in YAML a number with a unit, such as 30d."""


def moment(text: str, now: float) -> float:
    """Return the moment (epoch seconds) that ``text`` names: how long before ``now``, as in "2h", or an ISO day or time, local by default.

    Raises:
        ValueError: it names none.
    """
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*", text):
        return now - float(_seconds(text))  # type: ignore[arg-type]
    return datetime.fromisoformat(text.strip()).timestamp()


class Frozen(BaseModel):
    """A part of the contract: it cannot be changed, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of the canonical JSON of this part of the contract."""
        return digest_of(self.model_dump(mode="json"))


def digest_of(value: object) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json(value: object) -> bytes:
    """Return ``value`` as JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
