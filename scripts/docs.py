"""Write the pages that follow from the code: settings, contract, commands, and the JSON Schema of a model.yaml.

With --check nothing is written; a page that is not up to date is named and the exit code is 1.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import typer
from typer.testing import CliRunner

from treadle import api, spec
from treadle.api.opening import Place
from treadle.cli.main import app
from treadle.client import Client
from treadle.settings import Settings
from treadle.times import span

DOCS = Path(__file__).resolve().parent.parent / "docs"
GENERATED = "<!-- Written by scripts/docs.py from the code: change the code, then run `make docs`. -->\n\n"

SETTINGS = """# Settings

A setting stands in `treadle.toml`, or in an environment variable, which wins. An empty value counts as not given; an unknown name is an
error. `TREADLE_WORKSPACE` names the folder of the workspace itself; without it, it is the nearest folder with a `treadle.toml`, from the
current one upwards. `TREADLE_KEY` holds a key ([keys](../guides/keys.md)): it is no setting and stands in no file.

| in treadle.toml | variable | type | default | meaning |
|---|---|---|---|---|
"""

CONTRACT = """# The contract: model.yaml

`projects/<name>/model.yaml` describes a model once; everything else is derived from it. It has two halves. The *interface* is sealed
into each version: to change it is to train a new one. The *policy* is read from the workspace each time it is needed, so that it can
change without a new model; its digest stands in every verdict.

An unknown key is an error. A duration is a number with a unit, `ms`, `s`, `m`, `h` or `d`, such as `30d`, or a plain number of seconds.
YAML takes `Yes`, `No`, `On` and `Off` for booleans: put such classes and categories in quotes.

The first line of a `model.yaml` can name the [JSON Schema](../schema/model.schema.json), so that editors complete and check it:

```yaml
# yaml-language-server: $schema=../../docs/schema/model.schema.json
```

With the setting `overlay = "demo"`, the file `policy.demo.yaml` beside `model.yaml`, where there is one, is laid over the policy half.

"""

WIDTH = 110
"""Longest line of a signature that is not broken up."""

PYTHON = """# The Python API

Whatever a command does is a function: `import treadle`, then `treadle.train("churn")`. They take the same options under the same
names, return records instead of tables, and raise the errors that a command prints. `workspace` is a `Place`: a folder, a `Workspace`,
or nothing for the workspace of the current folder. `tell` is called with each thing that has been done. The commands `loop`, `demo` and
`break` are called `run_loop`, `run_demo` and `drill`.

A program that asks a running service uses [`treadle.Client`](#treadleclient) or `treadle.AsyncClient`; [the client](../guides/client.md)
shows them at work.

"""

ASYNC_CLIENT = """## treadle.AsyncClient

As `Client`, with the same methods, to be awaited; as an async context manager, or closed by `await client.close()`.
"""

COMMANDS = """# Commands

A failure is printed on standard error as a sentence with what to do next. Exit codes: 0 it went well, 1 it failed, 2 the command line
is wrong, 3 the gate, a check or a person has refused, or the record of events is not whole, 4 people must agree first, 130 Ctrl-C.

With `--json` standard output holds JSON and nothing else:

| command | what | keys |
|---|---|---|
| `validate` | the report, and its folder | `rows`, `passed`, `errors`, `warnings`, `findings`, `checks`, `columns`, `folder` |
| `init` | the project that was drafted | `name`, `folder`, `made_workspace`, `source`, `task`, \
`target`, `metric`, `rows`, `columns`, `assumptions`, `warnings`, `next` |
| `train` | the registered version | `model`, `version`, `digest`, `run_id`, `turn_id` |
| `evaluate` | what was measured | `model`, `version`, `digest`, `card`, `champion`, `champion_metrics`, `owner`, `written` |
| `gate` | the verdict | `id`, `model`, `version`, `digest`, `kind`, `passed`, `reasons`, `policy_digest`, `evidence`, `at` |
| `promote` | the deployment; refused: the verdict | `model`, `generation`, `slots`, `reason`, `verdict`, `actor`, `at` |
| `switch` | a list of deployments | as below |
| `ab start`, `ab stop` | the deployment | as below |
| `ab report` | what the test has shown | `model`, `generation`, \
`since`, `until`, `weights`, `report` (`metric`, `alpha`, `champion`, `arms`) |
| `rollback` | the deployment; of several models a list of them | `model`, `generation`, `slots`, `reason`, `verdict`, `actor`, `at` |
| `approve`, `reject` | how the version stands with the people | `model`, \
`version`, `people`, `approved`, `refused`, `missing`, `given`, `awaited` |
| `pause`, `resume` | the pause | `model`, `number`, `paused`, `reason`, `actor`, `at` |
| `predict` | a list of answers; with `--out` how many, and where | `prediction`, \
 `confidence`, `probabilities`, `model`, `version`, `prediction_id`, `fallback` |
| `label` | how many labels were taken | `accepted` |
| `labels import` | what became of the lines | `model`, `read`, `new`, `known`, `joined`, `waiting`, `refused`, `kept` |
| `simulate` | what was sent | `rows`, `requests`, `failed`, `labels` |
| `status` | a list of models | `model`, \
`generation`, `slots`, `drift_score`, `drifted`, `drift`, `quality_metric`, `quality_value`, `quality`, `loop`, `logged` |
| `drift` | what was observed of the champion | `version`, \
`since`, `until`, `drift`, `drift_onset`, `labelled_since`, `labelled_until`, `quality`, `quality_onset` |
| `check` | a list of projects | `model`, `passed`, `outcomes` |
| `break` | the drill | `kind`, `model`, `plan`, `seen` |
| `why` | a list of sentences | |
| `diff` | how the second version differs from the first | `model`, \
`first`, `second`, `data`, `same_holdout`, `parameters`, `interface`, `metrics`, `importances`, `costs`, `decided` |
| `events` | a list of events | `seq`, `at`, `kind`, `model`, `actor`, `data`, `hash` |
| `events --verify`, `--accept-restart` | what was checked | `events`, `heads`, `last`, `unsigned`, `restart` |
| `keys create` | the key, this once | `name`, `roles`, `rate`, `burst`, `key` |
| `keys rotate` | the new key, this once | `name`, `overlap`, `key` |
| `keys list` | a list | `name`, `roles`, `rate`, `burst`, `added_at`, `rotated_at` |
| `gc` | what goes or went, and what stays and why | `removed`, `going`, `staying`, `bytes`, `spared`, `left` |
| `reset` | how much went, and what is left | `counts`, `left` |
| `replay` | the past under two policies | `model`, `since`, `until`, `step`, `changes`, `present`, `proposed`, `notes` |
| `schema` | the JSON Schema of a `model.yaml` | |

"""


def settings_page() -> str:
    """Return a row per setting."""
    properties = Settings.model_json_schema()["properties"]
    rows = [
        f"| `{name}` | `TREADLE_{name.upper()}` | {_type(entry)} | {_default(entry)} | {entry['description']} |"
        for name, entry in properties.items()
    ]
    return SETTINGS + "\n".join(rows) + "\n"


def contract_page() -> str:
    """Return a table per part of the contract, from the whole to its parts."""
    schema = spec.contract_schema()
    parts = {"Contract": schema, **schema["$defs"]}
    titles = dict(_titles("Contract", "model.yaml", parts))
    for part in parts.values():
        # A key whose meaning is word for word that of the part below it is said once in the schema.
        for entry in part["properties"].values():
            if "$ref" in entry:
                entry.setdefault("description", parts[_references(entry)[0]]["description"])
    return CONTRACT + "\n".join(_part(parts[name], title, titles) for name, title in titles.items())


def commands_page() -> str:
    """Return the help of every command."""
    runner = CliRunner()
    pages = [f"## treadle {' '.join(names)}\n\n```\n{_help(runner, *names)}\n```\n" for names in _commands()]
    return COMMANDS + f"```\n{_help(runner)}\n```\n\n" + "\n".join(pages)


def python_page() -> str:
    """Return the signature and the docstring of every function of the API."""
    functions = [_section(f"## treadle.{name}", name, getattr(api, name)) for name in api.__all__]
    methods = {name: one for name, one in vars(Client).items() if not name.startswith("_")}
    return PYTHON + "\n".join(
        [
            *functions,
            _section("## treadle.Client", "Client", Client),
            *(_section(f"### Client.{name}", name, method) for name, method in methods.items()),
            ASYNC_CLIENT,
        ]
    )


def _section(title: str, name: str, function: Callable[..., Any]) -> str:
    return f"{title}\n\n```python\n{_signature(name, function)}\n```\n\n{_described(function)}\n"


def _signature(name: str, function: Callable[..., Any]) -> str:
    """Return how a function is called, a parameter per line where the line would be long."""
    signature = inspect.signature(function)
    parts = [_parameter(one) for one in signature.parameters.values() if one.name != "self"]
    kinds = [one.kind for one in signature.parameters.values() if one.name != "self"]
    first_by_name = next((i for i, one in enumerate(kinds) if one is inspect.Parameter.KEYWORD_ONLY), None)
    if first_by_name is not None:
        parts.insert(first_by_name, "*")
    returned = "" if signature.return_annotation is signature.empty else f" -> {_type_name(signature.return_annotation)}"
    line = f"{name}({', '.join(parts)}){returned}"
    return line if len(line) <= WIDTH else f"{name}(\n    " + ",\n    ".join(parts) + f",\n){returned}"


def _parameter(parameter: inspect.Parameter) -> str:
    """Return a parameter with its type and default as a person would write them."""
    text = str(parameter).replace("'", "").replace(str(Place).removeprefix("typing."), "Place")
    text = re.sub(r"<(?:built-in )?function (\w+)[^>]*>", r"\1", text)
    return re.sub(r"\b(?:[a-z_]+\.)+([A-Z])", r"\1", text)


def _type_name(annotation: object) -> str:
    if isinstance(annotation, str):
        return annotation
    return re.sub(r"\b(?:\w+\.)+", "", str(annotation)) if get_args(annotation) else str(getattr(annotation, "__name__", annotation))


def _described(function: Callable[..., Any]) -> str:
    """Return a docstring as Markdown: its sections become lists."""
    lines = (inspect.getdoc(function) or "").replace("``", "`").splitlines()
    described = []
    for line in lines:
        if line in {"Args:", "Returns:", "Raises:", "Yields:"}:
            described += [f"**{line[:-1]}**", ""]
        elif line.startswith("        "):
            described[-1] += f" {line.strip()}"
        else:
            described.append(f"- {line.strip()}" if line.startswith("    ") else line)
    return "\n".join(described)


def _commands() -> Iterator[tuple[str, ...]]:
    """Yield every command; one of a group with the group's name before it."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        yield from ((name, one) for one in inner)
        if not inner:
            yield (name,)


def pages() -> dict[Path, str]:
    """Return the content of every generated file."""
    return {
        DOCS / "reference" / "settings.md": GENERATED + settings_page(),
        DOCS / "reference" / "contract.md": GENERATED + contract_page(),
        DOCS / "reference" / "commands.md": GENERATED + commands_page(),
        DOCS / "reference" / "python.md": GENERATED + python_page(),
        DOCS / "schema" / "model.schema.json": json.dumps(spec.contract_schema(), indent=2) + "\n",
    }


def _help(runner: CliRunner, *command: str) -> str:
    done = runner.invoke(app, [*command, "--help"], prog_name="treadle", terminal_width=110, catch_exceptions=False)
    return "\n".join(line.rstrip() for line in done.output.strip().splitlines())


def _titles(name: str, title: str, parts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every part below ``name`` with the path of keys that leads there."""
    yield name, title
    for key, entry in parts[name]["properties"].items():
        many = "[]" if entry.get("type") == "array" else ""
        for part in _references(entry):
            kinds = [str(only) for field in parts[part]["properties"].values() for only in _constants(field)]
            kind = f" ({' or '.join(kinds)})" if many and kinds else ""
            yield from _titles(part, f"{'' if title == 'model.yaml' else title + '.'}{key}{many}{kind}", parts)


def _references(entry: dict[str, Any]) -> list[str]:
    inner = entry.get("items", entry)
    found = [*inner.get("oneOf", []), *inner.get("allOf", []), inner]
    return [option["$ref"].rsplit("/", 1)[1] for option in found if "$ref" in option]


def _constants(entry: dict[str, Any]) -> list[str]:
    """Return the values that tell one variant from another: those of ``kind`` and ``type`` alone have no default."""
    return [entry["const"]] if "const" in entry else entry.get("enum", []) if "default" not in entry else []


def _part(schema: dict[str, Any], title: str, titles: dict[str, str]) -> str:
    required = schema.get("required", [])
    lines = [
        f"## {title}",
        "",
        " ".join(schema.get("description", "").split()),
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for key, entry in schema["properties"].items():
        below = ", ".join(f"[{titles[part]}](#{_anchor(titles[part])})" for part in _references(entry))
        default = "required" if key in required else "" if below else _default(entry)
        lines.append(f"| `{key}` | {below or _type(entry)} | {default} | {entry.get('description', '')} |")
    return "\n".join(lines).replace("``", "`") + "\n"


def _anchor(title: str) -> str:
    return "".join(character for character in title.lower().replace(" ", "-") if character.isalnum() or character in "-_")


def _type(entry: dict[str, Any]) -> str:
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return " or ".join(f"`{value}`" for value in entry["enum"])
    if "anyOf" in entry:
        options = [_type(option) for option in entry["anyOf"] if option.get("type") != "null"]
        return "duration" if options == ["text", "number"] else " or ".join(options)
    if entry["type"] == "array":
        return f"list of {_type(entry['items'])}"
    if entry["type"] == "object":
        return f"mapping to {_type(entry['additionalProperties'])}"
    name = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}[entry["type"]]
    if entry.get("format") == "path":
        name = "folder"
    low = next((f"{word} {entry[key]:g}" for key, word in (("minimum", "at least"), ("exclusiveMinimum", "above")) if key in entry), "")
    high = next((f"{word} {entry[key]:g}" for key, word in (("maximum", "at most"), ("exclusiveMaximum", "below")) if key in entry), "")
    return ", ".join(part for part in (name, low, high) if part)


def _default(entry: dict[str, Any]) -> str:
    default = entry.get("default")
    if default in (None, "", [], {}):
        return "empty"
    if _type(entry) == "duration":
        return f"`{span(float(default))}`"
    return f"`{json.dumps(default)}`" if not isinstance(default, str) else f"`{default}`"


def main() -> int:
    """Write the pages, or compare them."""
    check = sys.argv[1:] == ["--check"]
    stale = [path for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check:
            print(f"{path.relative_to(DOCS.parent)} is not up to date: run 'make docs'")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
            print(f"{path.relative_to(DOCS.parent)} written")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
