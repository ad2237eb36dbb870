"""Write what the faults have shown (the JSON files of a folder) into the table of docs/architecture/faults.md."""

import json
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "architecture" / "faults.md"
BEGIN, END = "<!-- seen: written by make chaos -->", "<!-- end of seen -->"


def main(folder: Path) -> None:
    """Lay the new rows over those that the page has; a fault that was not tried this time keeps what was seen of it."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    table, _, tail = rest.partition(END)
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| fault")}
    for path in sorted(folder.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        rows[facts["fault"]] = f"| {facts['fault']} | {facts['promised']} | {facts['seen']} |"
    lines = ["| fault | promised | seen |", "|---|---|---|", *(rows[fault] for fault in sorted(rows))]
    PAGE.write_text(f"{head}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
