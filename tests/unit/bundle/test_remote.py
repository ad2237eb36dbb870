"""A place that hosts share, in memory and in a folder: what is visible there is whole, and what comes back is checked."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.broken_remote import Broken
from treadle.bundle.manifest import Lineage, digest_of
from treadle.bundle.place import Bundle, BundlePlace
from treadle.bundle.remote import REST_SECONDS, Remote
from treadle.errors import BundleCorrupt, BundleNotFound, RemoteExtraMissing, RemoteUnavailable
from treadle.settings import Settings, Workspace

Files = dict[str, bytes]


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "mount").mkdir()
    yield f"memory://{tmp_path.name}/bundles" if request.param == "memory" else f"file://{tmp_path}/mount/bundles"
    MemoryFileSystem.store.clear()


@pytest.fixture
def first(url: str, tmp_path: Path) -> BundlePlace:
    return BundlePlace(tmp_path / "first", Remote(url))


@pytest.fixture
def second(url: str, tmp_path: Path) -> BundlePlace:
    return BundlePlace(tmp_path / "second", Remote(url))


def remote(place: BundlePlace) -> Remote:
    assert place.remote is not None
    return place.remote


def test_an_object_is_written_read_found_and_removed(url: str) -> None:
    place = Remote(url)
    assert (place.names(), place.read("a/b"), place.made("a/b")) == ([], None, None)
    place.write("a/b", b"one")
    place.write("a/b", b"two")
    place.write("c", b"")
    assert (place.names(), place.names("a"), place.names("d")) == (["a/b", "c"], ["a/b"], [])
    assert (place.read("a/b"), place.read("c")) == (b"two", b"")
    assert place.made("a/b") == pytest.approx(place.made("c"), abs=60)
    place.remove("a/b")
    place.remove("a/b")
    assert place.names() == ["c"]


def test_what_one_host_puts_another_has(first: BundlePlace, second: BundlePlace, files: Files, lineage: Lineage) -> None:
    digest = first.put(files, "churn", lineage).digest

    assert (second.has(digest), second.digests(), second.listing(digest).model) == (True, [digest], "churn")
    assert second.interface(digest).feature_names == ("spend", "visits", "plan", "member")
    assert not second.folder.exists(), "nothing is fetched to look at it"
    assert second.get(digest).files == files
    assert BundlePlace(second.folder).get(digest).files == files
    assert second.made(digest) == pytest.approx(remote(second).made(f"{digest}/manifest.json"), abs=0.01)


def test_what_was_fetched_is_served_while_the_place_is_away(
    first: BundlePlace, tmp_path: Path, url: str, files: Files, lineage: Lineage
) -> None:
    digest = first.put(files, "churn", lineage).digest
    line = Broken(url)
    here = BundlePlace(tmp_path / "second", line)
    here.get(digest)
    line.left = 0

    assert here.get(digest).files == files
    assert here.interface(digest) == here.get(digest).interface
    assert here.has(digest)
    here.remote = Broken(url)
    here.remote.left = 0
    with pytest.raises(RemoteUnavailable):
        BundlePlace(tmp_path / "third", line).get(digest)
    assert not (tmp_path / "third" / digest).exists()


def test_an_interrupted_upload_is_invisible_and_can_be_done_again(
    url: str, tmp_path: Path, second: BundlePlace, files: Files, lineage: Lineage
) -> None:
    line = Broken(url)
    here = BundlePlace(tmp_path / "first", line)
    digest = Bundle.seal(files, "churn", lineage).digest
    for count in range(len(files) + 1):
        line.left = count
        with pytest.raises(RemoteUnavailable, match="the line is dead"):
            here.put(files, "churn", lineage)
        assert here.folder.joinpath(digest).is_dir(), "it is kept here"
        assert len(second.remote.names() if second.remote else []) == count
        assert (second.has(digest), second.digests()) == (False, [])
        with pytest.raises(BundleNotFound, match="nor in the shared place"):
            second.get(digest)
    line.left = len(files) + 1

    assert here.put(files, "churn", lineage).files == files
    assert second.get(digest).files == files


def test_an_interrupted_download_leaves_nothing(first: BundlePlace, url: str, tmp_path: Path, files: Files, lineage: Lineage) -> None:
    digest = first.put(files, "churn", lineage).digest
    line = Broken(url)
    here = BundlePlace(tmp_path / "second", line)
    for count in range(len(files) + 1):
        line.left = count
        with pytest.raises(RemoteUnavailable):
            here.get(digest)
        assert not here.folder.exists() or list(here.folder.iterdir()) == []
    line.left = len(files) + 1
    assert here.get(digest).files == files


@pytest.mark.parametrize("file", ["card.json", "interface.json", "manifest.json", "model.onnx", "profile.json"])
def test_a_changed_object_is_refused_by_name_and_not_kept(
    file: str, first: BundlePlace, second: BundlePlace, files: Files, lineage: Lineage
) -> None:
    digest = first.put(files, "churn", lineage).digest
    content = bytearray(remote(first).read(f"{digest}/{file}") or b"")
    content[len(content) // 2] ^= 1
    remote(first).write(f"{digest}/{file}", bytes(content))

    with pytest.raises(BundleCorrupt, match="in the shared place") as caught:
        second.get(digest)

    assert (caught.value.file, caught.value.digest) == (file, digest)
    assert remote(first).url in caught.value.what
    assert not second.folder.exists() or list(second.folder.iterdir()) == []
    assert first.get(digest).files == files, "the host that has it goes on"


def test_a_missing_object_is_named(first: BundlePlace, second: BundlePlace, files: Files, lineage: Lineage) -> None:
    digest = first.put(files, "churn", lineage).digest
    remote(first).remove(f"{digest}/model.onnx")
    with pytest.raises(BundleCorrupt, match=r"model\.onnx .* found no object"):
        second.get(digest)


def test_a_manifest_that_was_sealed_in_an_older_form_keeps_its_bytes(
    first: BundlePlace, second: BundlePlace, files: Files, lineage: Lineage
) -> None:
    bundle = Bundle.seal(files, "churn", lineage)
    older = bundle.manifest.to_bytes().replace(b'"holdout_digest":"",', b"")
    assert older != bundle.manifest.to_bytes()
    digest = digest_of(older)
    (first.folder / digest).mkdir(parents=True)
    for name, content in {**files, "manifest.json": older}.items():
        (first.folder / digest / name).write_bytes(content)

    first.share(digest)

    assert second.get(digest).files == files
    assert (second.folder / digest / "manifest.json").read_bytes() == older


def test_what_was_sealed_before_there_was_a_shared_place_is_brought_there(
    first: BundlePlace, second: BundlePlace, files: Files, lineage: Lineage
) -> None:
    digest = BundlePlace(first.folder).put(files, "churn", lineage).digest
    assert not second.has(digest)
    first.share(digest)
    assert second.get(digest).files == files


def test_a_hidden_bundle_goes_from_the_shared_place_manifest_first(
    first: BundlePlace, second: BundlePlace, url: str, files: Files, lineage: Lineage
) -> None:
    digest = first.put(files, "churn", lineage).digest
    first.remote = line = Broken(url)
    line.left = 1
    with pytest.raises(RemoteUnavailable):
        first.hide(digest)
    assert (first.has(digest), second.has(digest)) == (True, False)
    line.left = sys.maxsize
    assert first.hide(digest) is not None
    assert (first.has(digest), line.names()) == (False, [])
    assert second.hide(digest) is None


@pytest.mark.parametrize("digest", ["", "..", "0" * 63, "../bundles"])
def test_a_text_that_is_no_digest_is_asked_of_nobody(digest: str, first: BundlePlace, url: str) -> None:
    first.remote = line = Broken(url)
    line.left = 0
    assert not first.has(digest)
    with pytest.raises(BundleNotFound):
        first.get(digest)
    assert first.hide("no digest") is None


def test_a_place_that_is_away_is_named_and_rests(tmp_path: Path) -> None:
    now = [0.0]
    place = Remote(f"file://{tmp_path}/not-mounted/bundles", clock=lambda: now[0])
    with pytest.raises(RemoteUnavailable, match=f"there is no folder {tmp_path}/not-mounted"):
        place.read("a")
    (tmp_path / "not-mounted").mkdir()
    with pytest.raises(RemoteUnavailable, match="there is no folder"):
        place.names()
    now[0] = REST_SECONDS
    assert place.read("a") is None
    place.write("a", b"1")
    assert place.names() == ["a"]


def test_a_half_written_file_of_a_shared_folder_is_not_listed(tmp_path: Path) -> None:
    place = Remote(f"file://{tmp_path}/bundles")
    place.write("a/b", b"1")
    (tmp_path / "bundles" / "a" / ".draft-dead").write_bytes(b"")
    assert place.names() == ["a/b"]


@pytest.mark.parametrize(
    ("url", "error", "told"), [("nope://x/y", RemoteUnavailable, "Protocol not known"), ("gs://x/y", RemoteExtraMissing, "gcsfs")]
)
def test_a_kind_of_place_that_cannot_be_used_is_told(url: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Remote(url).names()


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", {})
    monkeypatch.setattr(sys.modules["fsspec.registry"], "registry", {})
    with pytest.raises(RemoteExtraMissing, match=r"pip install 'treadle\[s3\]'"):
        Remote("s3://bucket/prefix").names()


def test_a_workspace_without_the_setting_shares_nothing_and_loads_no_file_system(tmp_path: Path) -> None:
    place = BundlePlace.of(Workspace(tmp_path, Settings()))
    assert (place.remote, place.shared, place.digests_shared()) == (None, "", set())


def test_a_workspace_names_its_place_once(tmp_path: Path) -> None:
    place = BundlePlace.of(Workspace(tmp_path, Settings(remote_url="s3://bucket/prefix/")))
    assert place.shared == "s3://bucket/prefix/bundles"
