import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.bundle.manifest import FileEntry, Lineage, Manifest, describe, digest_of, parse
from treadle.errors import BundleInvalid

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
lineages = st.builds(
    Lineage,
    data_digest=texts,
    data_source=texts,
    simulated=st.booleans(),
    rows=st.integers(0, 10**9),
    seed=st.integers(0, 2**31),
    interface_digest=texts,
    code_digest=texts,
    python=texts,
    packages=st.dictionaries(texts, texts, max_size=3),
    turn_id=st.none() | texts,
    cut=st.none() | st.floats(0, 1e10),
)
names = st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True).filter(lambda name: name != "manifest.json")
manifests = st.builds(
    Manifest,
    format=st.just(1),
    model=texts,
    files=st.dictionaries(names, st.builds(FileEntry, texts, st.integers(0, 10**9)), max_size=4),
    lineage=lineages,
)


@given(manifests)
def test_a_manifest_survives_its_bytes(manifest: Manifest) -> None:
    assert parse(manifest.to_bytes()) == manifest


@given(manifests)
def test_equal_manifests_give_equal_bytes_whatever_the_order_of_their_keys(manifest: Manifest) -> None:
    backwards = msgspec.structs.replace(manifest, files=dict(reversed(manifest.files.items())))

    assert backwards.to_bytes() == manifest.to_bytes()


def test_the_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest_of(b"treadle") == hashlib.sha256(b"treadle").hexdigest()


def test_a_file_is_described_by_its_size_and_digest() -> None:
    assert describe({"model.onnx": b"abc"}) == {"model.onnx": FileEntry(digest_of(b"abc"), 3)}


@pytest.mark.parametrize("name", ["../card.json", "a/b", "", ".hidden", "manifest.json", "a\nb", "ü", "a" * 101])
def test_a_name_that_is_no_plain_file_name_is_refused(name: str, lineage: Lineage) -> None:
    with pytest.raises(BundleInvalid, match="not allowed as the name"):
        describe({name: b""})
    sealed_elsewhere = Manifest(model="churn", files={name: FileEntry("", 0)}, lineage=lineage)
    with pytest.raises(BundleInvalid, match="not allowed as the name"):
        parse(sealed_elsewhere.to_bytes())


def test_a_newer_format_is_refused_by_its_number_even_if_it_has_other_keys() -> None:
    with pytest.raises(BundleInvalid, match=r"manifest\.json has format 2, and this Treadle reads format 1"):
        parse(b'{"format": 2, "parts": []}')


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 1}', b'{"format": "1"}', b"\xff"])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(BundleInvalid, match="is not a manifest"):
        parse(content)


def test_an_unknown_key_is_refused(lineage: Lineage) -> None:
    content = Manifest(model="churn", files={}, lineage=lineage).to_bytes()

    with pytest.raises(BundleInvalid, match="extra"):
        parse(content.replace(b'"format":1', b'"format":1,"extra":1'))
