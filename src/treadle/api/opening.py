"""What every function of the API starts with: the workspace, its store, a project."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.errors import SettingsInvalid
from treadle.recovery.marker import require_whole
from treadle.settings import Workspace

if TYPE_CHECKING:
    from treadle.identity import Identity, Role
    from treadle.state.store import Store

Place = Workspace | Path | str | None
"""A workspace, its folder, or None for the one of the current folder."""


def found(place: Place = None, **overrides: Any) -> Workspace:
    """Return a workspace; an override of a setting that is None is no override.

    Raises:
        WorkspaceNotFound: no folder on the way up holds a ``treadle.toml``.
        SettingsInvalid: a setting is unknown or has a value that is not allowed.
        RestoreUnfinished: a restore into it was ended before it was done.
    """
    workspace = place if isinstance(place, Workspace) else Workspace.find(Path(place) if place is not None else None)
    require_whole(workspace.home)
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


def acting(workspace: Workspace, role: "Role" = "approver") -> "Identity":
    """Return who acts: the bearer of TREADLE_KEY, or the user of the machine.

    Raises:
        KeyUnknown: TREADLE_KEY holds no key of this workspace.
        RoleMissing: this one may not do what ``role`` may.
    """
    from treadle import identity

    return identity.acting(workspace).require(role)


def administering(workspace: Workspace) -> str:
    """Return who acts as an admin. The user of the machine may in any case: he can write the files of the workspace.

    Raises:
        KeyUnknown: TREADLE_KEY holds no key of this workspace.
        RoleMissing: it is no admin's.
    """
    who = acting(workspace, role="viewer")
    return who.name if who.source == "os" else who.require("admin").name
