"""The page that shows the figures: each command writes between its own two markers, and nowhere else."""

from pathlib import Path

from benchmarks.serving import environments

PAGE = environments.REPOSITORY / "docs" / "architecture" / "speed.md"
ASSETS = environments.REPOSITORY / "docs" / "assets"
END = "<!-- end of measured -->"


def begin(command: str) -> str:
    """Return the marker after which the module ``command`` writes."""
    return f"<!-- measured: written by python -m {command} --write -->"


def lay(command: str, text: str, path: Path = PAGE) -> None:
    """Put a text between the markers of a command, in place of what stands there.

    Raises:
        SystemExit: the page has no such markers.
    """
    head, marker, rest = path.read_text(encoding="utf-8").partition(begin(command))
    _, end, tail = rest.partition(END)
    if not (marker and end):
        raise SystemExit(f"{path.name} has no place for python -m {command}: put {begin(command)} and {END} into it.")
    path.write_text(f"{head}{marker}\n\n{text}\n\n{end}{tail}", encoding="utf-8")


def tell(command: str, text: str, *, write: bool, path: Path = PAGE) -> None:
    """Print what a command has measured, and lay it into the page where that was asked for."""
    print(f"\n{text}\n")
    if write:
        lay(command, text, path)
