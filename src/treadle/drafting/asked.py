"""What a person asked for when a project is drafted, and the command that asks for it again."""

import re
import shlex
from dataclasses import dataclass, replace
from typing import Any

from treadle.spec.addresses import holds_secret

DATABASE = re.compile(r"^(?!https?:)[a-z][a-z0-9+]*://", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """The name of the project, where its table is (a path or URL), the column to predict, and which table of a database."""

    name: str
    origin: str
    target: str | None = None
    table: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable for a URL that holds a password."""
        return f"{self.name.upper()}_URL"

    @property
    def secret(self) -> bool:
        """Whether the origin holds a password, which is then neither shown nor written."""
        return holds_secret(self.origin)

    @property
    def called(self) -> str:
        """The origin as a person may see it."""
        return f"${self.variable}" if self.secret else self.origin

    def command(self, **changes: Any) -> str:
        """Return the command that asks for this, with changes; a target that is not known yet is COLUMN."""
        wanted = replace(self, **changes)
        origin = f'"{wanted.called}"' if wanted.secret else shlex.quote(wanted.origin)
        words = ["treadle init", shlex.quote(wanted.name), "--from", origin]
        words += ["--table", shlex.quote(wanted.table)] if wanted.table else []
        return " ".join([*words, "--target", shlex.quote(wanted.target or "COLUMN")])
