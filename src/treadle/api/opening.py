"""What every function of the API starts with: the workspace, its store, a project."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.errors import SettingsInvalid
from treadle.recovery.marker import require_whole
from treadle.settings import KEY_VARIABLE, Workspace

if TYPE_CHECKING:
    from treadle.identity import Identity
    from treadle.settings import Role
    from treadle.state.store import Store

Place = Workspace | Path | str | None
"""A workspace, its folder, or None for the one of the current folder."""


def found(place: Place = None, *, url: str | None = None, **overrides: Any) -> Workspace:
    """Return a workspace; an override of a setting that is None is no override.

    A key in TREADLE_KEY that is none is refused whatever is done here. With the ``url`` of a service it is that service's to judge.

    Raises:
        KeyUnknown: TREADLE_KEY holds no key of this workspace.
        WorkspaceNotFound: no folder on the way up holds a ``treadle.toml``.
        SettingsInvalid: a setting is unknown or has a value that is not allowed.
        RestoreUnfinished: a restore into it was ended before it was done.
    """
    workspace = place if isinstance(place, Workspace) else Workspace.find(Path(place) if place is not None else None)
    require_whole(workspace.home)
    if os.environ.get(KEY_VARIABLE) and url is None:
        from treadle import identity

        identity.acting(workspace)
    given = {key: value for key, value in overrides.items() if value is not None}
    if not given:
        return workspace
    try:
        settings = type(workspace.settings).model_validate({**workspace.settings.model_dump(), **given})
    except ValueError as error:
        raise SettingsInvalid("the command line", [str(error)]) from error
    return Workspace(workspace.root, settings)


@contextmanager
def opened(place: Place = None) -> Iterator[tuple[Workspace, "Store"]]:
    """Open a workspace and its store for one piece of work. Its record has begun; what happens in the work is signed at the end."""
    from treadle.state.heads import signed
    from treadle.state.store import open_store

    workspace = found(place)
    store = open_store(workspace.store_url)
    try:
        with signed(store, workspace.home):
            yield workspace, store
    finally:
        store.close()


def acting(workspace: Workspace, role: "Role") -> "Identity":
    """Return who acts: the bearer of TREADLE_KEY, or the user of the machine, who has every role.

    Raises:
        KeyUnknown: TREADLE_KEY holds no key of this workspace.
        RoleMissing: this one does not have the role.
    """
    from treadle import identity

    return identity.acting(workspace).require(role)
