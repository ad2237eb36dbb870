"""The code of the README and of every guide is run, as a reader would run it."""

import shutil
from pathlib import Path

import pytest

from tests.guide import Reader, blocks

REPOSITORY = Path(__file__).parents[3]
PAGES = [
    path
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs" / "guides").glob("*.md"))]
    if list(blocks(path.read_text(encoding="utf-8")))
]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_a_page_says_can_be_done(path: Path, tmp_path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    if "<!-- folder: empty -->" not in page:
        shutil.copytree(REPOSITORY / "projects", tmp_path / "projects", ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / "treadle.toml").write_text("offline = true\n", encoding="utf-8")
    with Reader(tmp_path) as reader:
        assert reader.follow(page) > 0
