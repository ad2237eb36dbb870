"""Run the demo and keep what it shows: as a picture in docs/assets/demo.svg, as text in docs/assets/demo.txt.

Usage: scripts/picture.py [SEED]. The data come from where the settings say.
"""

import io
import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from treadle.console.screen import Screen
from treadle.demo.report import Plan
from treadle.demo.script import run

ASSETS = Path(__file__).parent.parent / "docs" / "assets"
WIDTH = 120


def main() -> int:
    """Run, and write both files if it went well."""
    # No terminal: the frames of the progress bars would all be recorded.
    console = Console(width=WIDTH, record=True, color_system="truecolor", file=io.StringIO(), highlight=False)
    code = run(Plan(seed=int(sys.argv[1]) if len(sys.argv) > 1 else 1, stop=True), Screen(console))
    if code:
        print(console.export_text())
        return code
    ASSETS.mkdir(parents=True, exist_ok=True)
    text = "\n".join(line.rstrip() for line in console.export_text(clear=False).splitlines())
    (ASSETS / "demo.txt").write_text(text.strip() + "\n", encoding="utf-8")
    # Without the fonts of a network: whoever looks at it has a monospaced one.
    drawn = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(str(ASSETS / "demo.svg"), title="make demo", code_format=drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
