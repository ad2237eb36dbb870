"""Write into docs/guides/house-prices.md how projects/house_prices differs from what `treadle init` drafts.

    python scripts/drafted.py MIRROR [--check]

MIRROR is a folder with california_housing.csv. With --check nothing is written; the exit code is 1 when the guide is not up to date.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
GUIDE = REPOSITORY / "docs" / "guides" / "house-prices.md"
PROJECT = REPOSITORY / "projects" / "house_prices"
FILES = ("model.yaml", "model.py")


def drafted(mirror: Path) -> dict[str, str]:
    """Return what `treadle init` writes, by file."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "treadle.toml").touch()
        variables = {name: value for name, value in os.environ.items() if not name.startswith("TREADLE_")}
        source = str(mirror.resolve() / "california_housing.csv")
        subprocess.run(
            [sys.executable, "-m", "treadle.cli.main", "init", PROJECT.name, "--from", source, "--target", "median_house_value"],
            cwd=folder,
            env={**variables, "TREADLE_DATA_MIRROR": str(mirror.resolve())},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        made = Path(folder) / "projects" / PROJECT.name
        return {name: (made / name).read_text(encoding="utf-8") for name in FILES}


def page(mirror: Path) -> str:
    """Return the guide with the differences as they are now."""
    text = GUIDE.read_text(encoding="utf-8")
    for name, draft in drafted(mirror).items():
        ours = (PROJECT / name).read_text(encoding="utf-8")
        lines = difflib.unified_diff(draft.splitlines(), ours.splitlines(), f"drafted/{name}", name, lineterm="", n=1)
        block = "\n".join(["<!-- diff: " + name + " -->", "```diff", *(line.rstrip() for line in lines), "```"])
        shown = re.compile(rf"<!-- diff: {re.escape(name)} -->\n```diff\n.*?^```$", flags=re.DOTALL | re.MULTILINE)
        text = shown.sub(block.replace("\\", "\\\\"), text)
    return text


def main() -> int:
    """Write the guide, or compare it."""
    mirror, *more = sys.argv[1:]
    now = page(Path(mirror))
    stale = now != GUIDE.read_text(encoding="utf-8")
    if stale and more == ["--check"]:
        print(f"{GUIDE.relative_to(REPOSITORY)} is not up to date: run scripts/drafted.py {mirror}")
        return 1
    if stale:
        GUIDE.write_text(now, encoding="utf-8")
        print(f"{GUIDE.relative_to(REPOSITORY)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
