"""Commands about keys: keys create, keys rotate, keys revoke, keys list."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from treadle.cli.options import Json

if TYPE_CHECKING:
    from treadle.identity import Key

WHAT = "Give out keys, by which people and programs say who they are."

app = typer.Typer(name="keys", help=WHAT, no_args_is_help=True, rich_markup_mode=None)

Holder = Annotated[str, typer.Argument(metavar="NAME", help="Whom it names in the record.")]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE",
        help="predict, label, operate (gate, promote, roll back, pause), approve (approve, reject) or admin (all of it, and to give out "
        "keys). May be given several times; without it, predict.",
    ),
]


def register(app_: typer.Typer) -> None:
    """Add the commands of this module."""
    app_.add_typer(app)


@app.callback()
def _keys() -> None:
    """Give out keys, by which people and programs say who they are."""


@app.command()
def create(
    name: Holder,
    role: Roles = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Requests per second that the API answers it, in the long run.")] = None,
    burst: Annotated[int | None, typer.Option("--burst", help="How many may come at once; without it, those of one second.")] = None,
    json: Json = False,
) -> None:
    """Make a key and print it, this once. Show it in TREADLE_KEY, or to the API as a bearer token."""
    from treadle import api
    from treadle.console import out

    roles = role or ["predict"]
    token = api.keys_create(name, roles=roles, rate=rate, burst=burst)
    first = " It is the only one: from now on the API asks for a key." if len(api.keys_list()) == 1 else ""
    text = f"{token}\nThis is the key of {name}, with {_roles(roles)}. It is not kept and cannot be shown again.{first}"
    out.answer({"name": name, "roles": roles, "rate": rate, "burst": burst, "key": token}, json=json, text=text)


@app.command()
def rotate(
    name: Holder,
    overlap: Annotated[float, typer.Option("--overlap", help="Seconds for which the token before it is still good.", min=0)] = 0,
    json: Json = False,
) -> None:
    """Give a key a new token and print it, this once; roles and limit stay."""
    from treadle import api
    from treadle.console import out

    token = api.keys_rotate(name, overlap=overlap)
    until = f"The one before it is good for {overlap:g} s more." if overlap else "The one before it is refused from now on."
    out.answer({"name": name, "overlap": overlap, "key": token}, json=json, text=f"{token}\nThis is the new key of {name}. {until}")


@app.command()
def revoke(name: Holder, json: Json = False) -> None:
    """Take a key back; it is refused from now on."""
    from treadle import api
    from treadle.console import out

    api.keys_revoke(name)
    last = "" if api.keys_list() else " It was the last one. The API goes on to ask for a key; `treadle keys create` makes one."
    out.answer({"name": name}, json=json, text=f"The key of {name} is taken back.{last}")


@app.command(name="list")
def list_(json: Json = False) -> None:
    """Show who has a key."""
    from rich.table import Table

    from treadle import api
    from treadle.console import out

    keys = api.keys_list()
    table = Table("name", "roles", "limit", "since", "rotated", title="Keys")
    for key in keys:
        table.add_row(key.name, ", ".join(key.roles), _limit(key), _moment(key.added_at), _moment(key.rotated_at))
    told = [
        {name: getattr(key, name) for name in ("name", "roles", "rate", "burst", "added_at", "rotated_at")} | {"roles": list(key.roles)}
        for key in keys
    ]
    out.answer(told, json=json, text=table if keys else "Nobody has a key. `treadle keys create NAME` makes one.")


def _roles(roles: Sequence[str]) -> str:
    return f"the {'roles' if len(roles) > 1 else 'role'} {', '.join(roles)}"


def _limit(key: "Key") -> str:
    return f"{key.rate:g}/s, {key.burst} at once" if key.limit else "none"


def _moment(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if at else "never"
