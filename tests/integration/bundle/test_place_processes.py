"""Processes that put the same bundle into the same place at the same moment."""

import subprocess
import sys
from pathlib import Path

import pytest

from treadle.bundle.place import BundlePlace

WRITER = """
import sys
from pathlib import Path
from tests.unit.bundle.conftest import INTERFACE, LINEAGE, rows
from treadle.bundle.place import BundlePlace
from treadle.bundle.profile import build
from treadle.spec import canonical_json

files = {
    "model.onnx": b"a graph" * 200_000,
    "interface.json": canonical_json(INTERFACE.model_dump(mode="json")),
    "profile.json": build(INTERFACE, *rows(500)).to_bytes(),
    "card.json": b"{}",
}
place = BundlePlace(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for seed in range(20):
    lineage = type(LINEAGE)(**{**{name: getattr(LINEAGE, name) for name in LINEAGE.__struct_fields__}, "seed": seed})
    print(place.put(files, "churn", lineage).digest)
"""


@pytest.mark.integration
def test_two_processes_put_the_same_bundles_at_once(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()

    printed = [writer.communicate(timeout=60)[0].split() for writer in writers]

    place = BundlePlace(tmp_path)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert printed[0] == printed[1]
    assert place.digests() == sorted(printed[0]) == sorted(path.name for path in tmp_path.iterdir())
    assert all(place.get(digest).files["card.json"] == b"{}" for digest in printed[0])
