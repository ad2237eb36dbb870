"""Bundles in a bucket: S3 as moto speaks it, over HTTP on a free port, and workspaces that know nothing of each other but the URL."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import small_bundles
from tests.buckets import Bucket, bucket
from tests.crew import until
from tests.integration.hosts.host import TREADLE, Host, deploy
from treadle.bundle.manifest import Lineage
from treadle.bundle.place import Bundle, BundlePlace
from treadle.bundle.remote import Remote
from treadle.checking import machine
from treadle.errors import BundleCorrupt, BundleNotFound, RemoteUnavailable
from treadle.settings import MARKER, Workspace
from treadle.state.deployments import Slot
from treadle.state.store import open_store

pytestmark = pytest.mark.integration


@pytest.fixture
def s3() -> Iterator[Bucket]:
    with bucket() as made:
        yield made


def sealed(folder: Path, lean: float = 0.0) -> Bundle:
    return small_bundles.put(folder, small_bundles.answering(lean))


def shared(place: BundlePlace, bundle: Bundle) -> Bundle:
    """Put a bundle that was sealed elsewhere."""
    made_of: Lineage = bundle.manifest.lineage
    return place.put(bundle.files, bundle.manifest.model, made_of)


def place(s3: Bucket, folder: Path) -> BundlePlace:
    return BundlePlace(folder, Remote(f"{s3.url}/bundles"))


def test_what_one_host_puts_another_has_and_a_hidden_one_is_gone(s3: Bucket, tmp_path: Path) -> None:
    first, second = place(s3, tmp_path / "first"), place(s3, tmp_path / "second")
    bundles = [shared(first, sealed(tmp_path / "made", lean)) for lean in (0.0, 1.0)]
    digests = sorted(bundle.digest for bundle in bundles)

    assert second.digests() == digests
    assert {second.get(bundle.digest).files["model.onnx"] for bundle in bundles} == {bundle.files["model.onnx"] for bundle in bundles}
    assert abs(second.made(digests[0]) - time.time()) < 120
    first.hide(digests[0])
    assert place(s3, tmp_path / "third").digests() == digests[1:]
    assert {key.split("/")[2] for key in s3.names()} == {digests[1]}


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json"])
def test_a_flipped_bit_in_the_bucket_is_refused_by_name(file: str, s3: Bucket, tmp_path: Path) -> None:
    digest = shared(place(s3, tmp_path / "first"), sealed(tmp_path / "made")).digest
    s3.flip(f"team/bundles/{digest}/{file}")

    with pytest.raises(BundleCorrupt, match=f"The file {file} of bundle {digest} in the shared place {s3.url}/bundles"):
        place(s3, tmp_path / "second").get(digest)

    assert list((tmp_path / "second").glob("*")) == []


def test_a_bucket_that_is_away_is_named_and_what_was_fetched_goes_on(s3: Bucket, tmp_path: Path) -> None:
    first, second, third = (place(s3, tmp_path / name) for name in ("first", "second", "third"))
    bundle = shared(first, sealed(tmp_path / "made"))
    second.get(bundle.digest)
    s3.go_away()

    assert second.get(bundle.digest).files == bundle.files
    began = time.monotonic()
    with pytest.raises(RemoteUnavailable, match=rf"{s3.url}/bundles cannot be used .* Could not connect") as caught:
        third.get(bundle.digest)
    assert "AWS" not in str(caught.value)
    assert "a-secret" not in str(caught.value)
    other = sealed(tmp_path / "made", 1.0)
    with pytest.raises(RemoteUnavailable):
        shared(first, other)
    assert time.monotonic() - began < 20
    s3.come_back()
    first, third = place(s3, tmp_path / "first"), place(s3, tmp_path / "third")  # another process: it has not seen the place away
    assert third.get(bundle.digest).files == bundle.files
    assert not third.has(other.digest)
    shared(first, other)
    assert third.get(other.digest).files == other.files


def test_a_bucket_that_does_not_exist_is_told(s3: Bucket, tmp_path: Path) -> None:
    lost = BundlePlace(tmp_path / "first", Remote("s3://no-such-bucket/team"))
    with pytest.raises(RemoteUnavailable, match="bucket does not exist"):
        shared(lost, sealed(tmp_path / "made"))
    with pytest.raises(BundleNotFound, match="s3://no-such-bucket/team"):
        lost.get("0" * 64)


WRITER = """
import sys
from pathlib import Path
from tests import small_bundles
from treadle.bundle.place import BundlePlace
from treadle.bundle.remote import Remote

place = BundlePlace(Path(sys.argv[1]), Remote(sys.argv[2]))
made = [small_bundles.put(Path(sys.argv[1] + "-made"), small_bundles.answering(lean)) for lean in range(8)]
print("ready", flush=True)
sys.stdin.readline()
for bundle in made:
    print(place.put(bundle.files, bundle.manifest.model, bundle.manifest.lineage).digest)
"""


def test_two_hosts_put_the_same_bundles_at_once(s3: Bucket, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / name), f"{s3.url}/bundles"],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    printed = [writer.communicate(timeout=60)[0].split() for writer in writers]

    third = place(s3, tmp_path / "third")
    assert [writer.returncode for writer in writers] == [0, 0]
    assert printed[0] == printed[1]
    assert third.digests() == sorted(printed[0])
    assert all(third.get(digest).manifest.model == "churn" for digest in printed[0])


@pytest.mark.timeout(300)
def test_a_service_with_an_empty_cache_follows_and_keeps_the_old_generation_when_the_bucket_is_away(s3: Bucket, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    writer = place(s3, tmp_path / "writer")
    with Host(tmp_path / "host", f'store_url = "{url}"\nremote_url = "{s3.url}"\n') as host:
        store = open_store(url)
        versions = [shared(writer, sealed(tmp_path / "made", lean)) for lean in (0.0, 1.0)]
        deploy(store, Slot("champion", 1, versions[0].digest, 1.0))
        host.serve()
        assert BundlePlace(host.workspace.bundle_dir).get(versions[0].digest).files == versions[0].files

        s3.go_away()
        deploy(store, Slot("champion", 2, versions[1].digest, 1.0))
        until(lambda: f"{s3.url}/bundles" in str(host.ready()), "the worker tells why it does not follow")
        # A worker that was still fetching the first generation when the bucket went finds it here a moment later.
        until(lambda: host.ready().generations.get("churn") == 1, "the old generation is kept")

        s3.come_back()
        until(lambda: host.ready().generations.get("churn") == 2, "the worker follows")
        store.close()


@pytest.mark.timeout(400)
def test_what_was_trained_and_promoted_here_is_served_there(s3: Bucket, workspace: Workspace, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    settings = f'offline = true\nstore_url = "{url}"\nremote_url = "{s3.url}"\n'
    (workspace.root / MARKER).write_text(settings, encoding="utf-8")
    for command in (("train", "iris"), ("promote", "iris", "--version", "1")):
        done = subprocess.run([*TREADLE, *command], capture_output=True, text=True, check=False, cwd=workspace.root)
        assert done.returncode == 0, done.stdout + done.stderr
    parts = {key.split("/")[1] for key in s3.names()}
    assert parts == {"bundles", "snapshots"}

    with Host(tmp_path / "other", f'store_url = "{url}"\nremote_url = "{s3.url}"\n') as host:
        host.serve()
        assert host.ready().generations == {"iris": 1}
        told = {outcome.name: outcome for outcome in machine.shared(host.workspace)}
        assert told["shared place"].status == "ok"
    s3.go_away()
    assert [outcome.status for outcome in machine.shared(host.workspace)] == ["failed"]
    assert all(outcome.status == "ok" for outcome in machine.state(host.workspace)), "what was fetched is there without the bucket"
    s3.come_back()
