from collections.abc import Callable
from pathlib import Path

import pytest

from treadle.bundle.manifest import Lineage, digest_of
from treadle.bundle.place import Bundle, BundlePlace
from treadle.errors import BundleCorrupt, BundleInvalid, BundleNotFound
from treadle.spec import Interface

Flip = Callable[[Path], None]
FILES = ["card.json", "interface.json", "model.onnx", "profile.json"]


def test_what_is_put_is_got(place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    digest = place.put(files, "churn", lineage).digest

    bundle = place.get(digest)

    assert bundle.files == files
    assert (bundle.manifest.model, bundle.manifest.lineage) == ("churn", lineage)
    assert bundle.interface.feature_names == ("spend", "visits", "plan", "member")
    assert bundle.profile.rows == 500
    assert bundle.card == {"metrics": {"roc_auc": 0.8}}
    assert (place.has(digest), place.digests()) == (True, [digest])


def test_the_interface_is_read_without_the_rest_but_checked(place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    digest = place.put(files, "churn", lineage).digest
    (place.folder / digest / "model.onnx").unlink()
    assert place.interface(digest) == Interface.model_validate_json(files["interface.json"])
    (place.folder / digest / "interface.json").write_bytes(files["interface.json"] + b" ")
    with pytest.raises(BundleCorrupt, match=r"interface\.json"):
        place.interface(digest)
    with pytest.raises(BundleNotFound):
        place.interface("e" * 64)


def test_the_digest_is_that_of_the_manifest_on_disk(place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    digest = place.put(files, "churn", lineage).digest

    assert digest == digest_of((place.folder / digest / "manifest.json").read_bytes())


def test_the_same_files_in_another_order_are_the_same_bundle(place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    first = place.put(files, "churn", lineage)
    second = place.put(dict(reversed(files.items())), "churn", lineage)

    assert first.digest == second.digest
    assert [path.name for path in place.folder.iterdir()] == [first.digest]


def test_every_file_and_the_model_and_the_lineage_change_the_digest(files: dict[str, bytes], lineage: Lineage) -> None:
    other = Lineage(**{**{name: getattr(lineage, name) for name in lineage.__struct_fields__}, "seed": 43})
    bundles = [
        Bundle.seal(files, "churn", lineage),
        Bundle.seal({**files, "model.onnx": b"another graph"}, "churn", lineage),
        Bundle.seal({**files, "tokenizer.json": b"{}"}, "churn", lineage),
        Bundle.seal(files, "iris", lineage),
        Bundle.seal(files, "churn", other),
    ]

    assert len({bundle.digest for bundle in bundles}) == len(bundles)


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_bit_is_found_and_its_file_named(
    file: str, place: BundlePlace, files: dict[str, bytes], lineage: Lineage, flip: Flip
) -> None:
    digest = place.put(files, "churn", lineage).digest
    flip(place.folder / digest / file)

    with pytest.raises(BundleCorrupt) as caught:
        place.get(digest)

    assert (caught.value.file, caught.value.digest) == (file, digest)
    assert digest_of(files[file]) in caught.value.what
    assert digest_of((place.folder / digest / file).read_bytes()) in caught.value.what


def test_a_flipped_bit_of_the_manifest_is_found(place: BundlePlace, files: dict[str, bytes], lineage: Lineage, flip: Flip) -> None:
    digest = place.put(files, "churn", lineage).digest
    flip(place.folder / digest / "manifest.json")

    with pytest.raises(BundleCorrupt) as caught:
        place.get(digest)

    assert caught.value.file == "manifest.json"


def test_another_bundle_under_this_digest_is_found(place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    digest = place.put(files, "churn", lineage).digest
    other = place.put({**files, "model.onnx": b"another graph"}, "churn", lineage).digest
    (place.folder / digest).rename(place.folder / ("0" * 64))
    (place.folder / other).rename(place.folder / digest)

    with pytest.raises(BundleCorrupt, match=rf"manifest\.json.*expected SHA-256 {digest}, found SHA-256 {other}"):
        place.get(digest)


@pytest.mark.parametrize("file", ["manifest.json", *FILES])
def test_a_missing_file_is_named(file: str, place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    digest = place.put(files, "churn", lineage).digest
    (place.folder / digest / file).unlink()

    with pytest.raises(BundleCorrupt, match="No such file"):
        place.get(digest)


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_a_file_that_was_cut_short_or_has_grown_is_found(cut: int, place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    digest = place.put(files, "churn", lineage).digest
    path = place.folder / digest / "model.onnx"
    path.write_bytes(files["model.onnx"][:cut] if cut else files["model.onnx"] + b"\0")

    with pytest.raises(BundleCorrupt, match=r"of 7 bytes, found .* of \d+ bytes"):
        place.get(digest)


def test_a_damaged_bundle_is_not_put_over(place: BundlePlace, files: dict[str, bytes], lineage: Lineage, flip: Flip) -> None:
    digest = place.put(files, "churn", lineage).digest
    flip(place.folder / digest / "model.onnx")

    with pytest.raises(BundleCorrupt):
        place.put(files, "churn", lineage)


@pytest.mark.parametrize("digest", ["0" * 64, "", ".", "..", "../bundles", "A" * 64, "0" * 63])
def test_a_digest_that_is_not_there_or_is_none_is_not_found(
    digest: str, place: BundlePlace, files: dict[str, bytes], lineage: Lineage
) -> None:
    place.put(files, "churn", lineage)

    assert not place.has(digest)
    with pytest.raises(BundleNotFound, match="There is no bundle"):
        place.get(digest)


def test_an_empty_place_has_no_digests(place: BundlePlace) -> None:
    assert place.digests() == []


def test_what_a_crash_left_behind_is_no_bundle(place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    digest = place.put(files, "churn", lineage).digest
    (place.folder / ".draft-dead").mkdir()
    (place.folder / "notes.txt").write_text("mine")

    assert place.digests() == [digest]


@pytest.mark.parametrize("file", FILES)
def test_a_bundle_without_a_file_is_refused(file: str, place: BundlePlace, files: dict[str, bytes], lineage: Lineage) -> None:
    del files[file]

    with pytest.raises(BundleInvalid, match=f"{file} is missing"):
        place.put(files, "churn", lineage)

    assert not place.folder.exists()


@pytest.mark.parametrize("file", ["card.json", "interface.json", "profile.json"])
@pytest.mark.parametrize("content", [b"", b"[1]", b'{"unknown": 1', b"\xff"])
def test_a_file_that_cannot_be_read_is_refused(
    file: str, content: bytes, place: BundlePlace, files: dict[str, bytes], lineage: Lineage
) -> None:
    with pytest.raises(BundleInvalid, match=f"{file} is not a"):
        place.put({**files, file: content}, "churn", lineage)


def test_a_place_that_cannot_be_written_leaves_nothing(
    place: BundlePlace, files: dict[str, bytes], lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)

    with pytest.raises(OSError, match="No space left"):
        place.put(files, "churn", lineage)

    assert list(place.folder.iterdir()) == []
