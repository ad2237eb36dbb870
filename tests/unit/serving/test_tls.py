"""The certificate of the API: two files that belong together, and are taken anew when they are renewed."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from tests import certificates
from tests.crew import until
from treadle.errors import KeysInvalid, KeysMissing, TlsInvalid
from treadle.identity import Keys
from treadle.serving import tls
from treadle.serving.supervisor import require_safe
from treadle.serving.tls import Certificate
from treadle.settings import Settings, Workspace


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    assert Certificate(*certificates.make(tmp_path)).context.minimum_version == ssl.TLSVersion.TLSv1_2


def shaken(server: ssl.SSLContext, trusted: Path) -> bytes:
    """Shake hands in memory with one who trusts a certificate; return what is shown."""
    client = ssl.create_default_context(cafile=str(trusted))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return theirs.getpeercert(binary_form=True) or b""


def test_renewed_files_are_shown_to_new_connections(tmp_path: Path) -> None:
    cert, key = certificates.make(tmp_path)
    certificate = Certificate(cert, key)
    first = shaken(certificate.context, cert)
    assert not certificate.refresh()
    certificates.make(tmp_path)
    assert certificate.refresh()
    assert shaken(certificate.context, cert) != first


def test_half_of_a_renewal_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = certificates.make(tmp_path)
    certificate = Certificate(cert, key)
    trusted = tmp_path / "old.pem"
    trusted.write_bytes(cert.read_bytes())
    first = shaken(certificate.context, trusted)
    old = key.read_bytes()
    certificates.make(tmp_path)
    key.write_bytes(old)
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.001)

    async def follow() -> None:
        following = asyncio.create_task(certificate.follow())
        await asyncio.to_thread(until, lambda: "stays" in caplog.text)
        certificates.make(tmp_path)
        await asyncio.to_thread(until, lambda: "was renewed" in caplog.text)
        following.cancel()

    with pytest.raises(TlsInvalid):
        certificate.refresh()
    assert shaken(certificate.context, trusted) == first
    asyncio.run(follow())
    assert shaken(certificate.context, cert) != first


@pytest.mark.parametrize("spoil", ["cert.pem", "key.pem"])
def test_what_is_no_certificate_is_told(tmp_path: Path, spoil: str) -> None:
    files = certificates.make(tmp_path)
    (tmp_path / spoil).write_text("no PEM")
    with pytest.raises(TlsInvalid, match="cannot speak TLS with the certificate"):
        Certificate(*files)
    (tmp_path / spoil).unlink()
    with pytest.raises(TlsInvalid, match=f"{spoil}: No such file"):
        Certificate(*files)


def test_two_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    cert, _ = certificates.make(tmp_path)
    _, key = certificates.make(tmp_path / "other")
    with pytest.raises(TlsInvalid, match="MISMATCH"):
        Certificate(cert, key)


def test_nobody_is_asked_for_a_passphrase(tmp_path: Path) -> None:
    with pytest.raises(TlsInvalid, match="the key has a passphrase"):
        Certificate(*certificates.make(tmp_path, passphrase=b"open"))


def test_a_key_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root may read everything")
    cert, key = certificates.make(tmp_path)
    key.chmod(0)
    with pytest.raises(TlsInvalid, match="Permission denied"):
        Certificate(cert, key)


class TestRequireSafe:
    EVERYWHERE = "0.0.0.0"  # noqa: S104

    def test_beyond_this_machine_a_key_is_needed(self, tmp_path: Path) -> None:
        place = Workspace(tmp_path, Settings(home=Path(), host=self.EVERYWHERE))
        with pytest.raises(KeysMissing, match=r"on 0\.0\.0\.0 other machines could call") as caught:
            require_safe(place)
        assert "treadle keys create" in caught.value.fix
        assert 'access = "proxy"' in caught.value.fix
        keys = Keys(tmp_path)
        keys.create("ada", ["predict"])
        require_safe(place)
        keys.revoke("ada")
        with pytest.raises(KeysMissing):
            require_safe(place)

    def test_a_file_of_keys_that_cannot_be_read_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "keys.json").write_text("[")
        with pytest.raises(KeysInvalid):
            require_safe(Workspace(tmp_path, Settings(home=Path(), host=self.EVERYWHERE)))

    def test_not_on_this_machine_nor_behind_a_proxy(self, tmp_path: Path) -> None:
        require_safe(Workspace(tmp_path, Settings(home=Path())))
        require_safe(Workspace(tmp_path, Settings(home=Path(), host=self.EVERYWHERE, access="proxy")))

    def test_a_certificate_must_be_one(self, tmp_path: Path) -> None:
        files = Settings(home=Path(), tls_cert=Path("cert.pem"), tls_key=Path("key.pem"))
        with pytest.raises(TlsInvalid):
            require_safe(Workspace(tmp_path, files))
        certificates.make(tmp_path)
        require_safe(Workspace(tmp_path, files))
