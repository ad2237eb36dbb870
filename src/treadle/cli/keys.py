"""Commands about keys: key add, key list, key remove."""

import time
from typing import Annotated, Literal

import typer

from treadle.cli.options import Json

app = typer.Typer(
    name="key", help="Give out keys, by which people and programs say who they are.", no_args_is_help=True, rich_markup_mode=None
)

Holder = Annotated[str, typer.Argument(metavar="NAME", help="Whom it names in the record.")]
Role = Annotated[
    Literal["viewer", "approver", "admin"],
    typer.Option("--role", help="approver may approve, reject, promote and pause; admin may give out keys as well."),
]


def register(app_: typer.Typer) -> None:
    """Add the commands of this module."""
    app_.add_typer(app)


@app.callback()
def _key() -> None:
    """Give out keys, by which people and programs say who they are."""


@app.command()
def add(name: Holder, role: Role = "approver", json: Json = False) -> None:
    """Make a key and print it, this once. Show it in TREADLE_KEY, or to the API as a bearer token."""
    from treadle import api
    from treadle.console import out

    token = api.key_add(name, role=role)
    text = f"{token}\nThis is the key of {name}, with the role {role}. It is not kept and cannot be shown again."
    out.answer({"name": name, "role": role, "key": token}, json=json, text=text)


@app.command(name="list")
def list_(json: Json = False) -> None:
    """Show who has a key."""
    from rich.table import Table

    from treadle import api
    from treadle.console import out

    keys = api.key_list()
    table = Table("name", "role", "since", title="Keys")
    for key in keys:
        table.add_row(key.name, key.role, time.strftime("%Y-%m-%d %H:%M", time.localtime(key.added_at)))
    told = [{"name": key.name, "role": key.role, "added_at": key.added_at} for key in keys]
    out.answer(told, json=json, text=table if keys else "Nobody has a key. `treadle key add NAME` makes one.")


@app.command()
def remove(name: Holder, json: Json = False) -> None:
    """Take a key back; it is refused from now on."""
    from treadle import api
    from treadle.console import out

    api.key_remove(name)
    out.answer({"name": name}, json=json, text=f"The key of {name} is taken back.")
