"""The reader that runs the guides must fail where a guide is wrong."""

from pathlib import Path

import pytest

from tests.guide import Block, Reader, blocks

PAGE = """
Text.

<!-- file: notes/a.txt -->
```text
hello
```

```sh
grep hello notes/a.txt   # it is there
test -e nowhere   # exit code 1
echo one \\
    two > b.txt
```

<!-- not run: it would delete everything -->
```sh
exit 7
```

```yaml
key: value
```

```python
text = open("b.txt").read()
```

```python
assert text == "one two\\n"
```
"""


def test_a_page_is_followed_from_block_to_block(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        assert reader.follow(PAGE) == 4
    assert (tmp_path / "notes" / "a.txt").read_text(encoding="utf-8") == "hello\n"


def test_only_what_is_meant_to_run_is_run() -> None:
    assert [block.kind for block in blocks(PAGE)] == ["file", "sh", "python", "python"]
    assert next(blocks(PAGE)) == Block("file", "hello\n", "notes/a.txt")


@pytest.mark.parametrize(
    ("language", "code", "said"),
    [
        ("sh", "echo so; exit 3", "so"),
        ("sh", "true   # exit code 1", "exit code 0"),
        ("python", "1 / 0", "ZeroDivisionError"),
        ("python", "import os; os._exit(1)", "has gone"),
    ],
)
def test_a_block_that_fails_is_told_with_what_it_said(tmp_path: Path, language: str, code: str, said: str) -> None:
    with Reader(tmp_path) as reader, pytest.raises(AssertionError, match=said):
        reader.follow(f"```{language}\n{code}\n```\n")
