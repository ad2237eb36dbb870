"""What every part of a contract is made of: frozen models that refuse unknown keys, durations, canonical JSON."""

import hashlib
import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from treadle.times import seconds

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Column = Annotated[str, StringConstraints(pattern=r"^\S(.{0,198}\S)?$")]


def _seconds(value: object) -> object:
    """Turn a duration as it is written into seconds; leave the rest to pydantic."""
    return seconds(value) if isinstance(value, str) else value


Duration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str | float), Field(ge=0)]
"""Seconds as a float; in YAML a number with a unit, such as 30d."""


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
