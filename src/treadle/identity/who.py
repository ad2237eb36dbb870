"""Somebody who acts."""

from dataclasses import dataclass
from typing import Literal

from treadle.errors import RoleMissing
from treadle.settings import ROLES, Role

Source = Literal["key", "proxy", "os", "open"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who acts; ``source`` says what proves the name."""

    name: str
    source: Source
    roles: frozenset[Role]

    def require(self, role: Role) -> "Identity":
        """Return this identity.

        Raises:
            RoleMissing: it does not have the role.
        """
        if role not in self.roles:
            raise RoleMissing(self.name, [one for one in ROLES if one in self.roles], role)
        return self


ANONYMOUS = Identity("anonymous", "open", frozenset({"predict", "label"}))
"""Whoever calls a service that asks nobody for a key. What changes a model asks for a name all the same."""
