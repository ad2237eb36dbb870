"""TLS of the API: one certificate, which is taken anew when its files are renewed."""

import asyncio
import logging
import ssl
from pathlib import Path

from treadle.errors import TlsInvalid

LOOK_SECONDS = 5.0

_logger = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int], ...]


class Certificate:
    """The certificate and the private key of two PEM files, as the context of a server."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Read both.

        Raises:
            TlsInvalid: they cannot be read, or do not belong together.
        """
        self._files = cert, key
        self._stamp = self._stamped()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Also where the configuration of the machine's OpenSSL would allow less.
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(self.context, cert, key)

    def refresh(self) -> bool:
        """Take renewed files for the connections that begin from now on; return whether there were any.

        Raises:
            TlsInvalid: they cannot be used; the certificate before them stays.
        """
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        # First into a context of its own: half of a pair must not replace anything.
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *self._files)
        _load(self.context, *self._files)
        self._stamp = stamp
        return True

    async def follow(self) -> None:
        """Look for renewed files for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self.refresh():
                    _logger.warning("the certificate %s was renewed", self._files[0])
            except TlsInvalid as error:
                _logger.warning("%s The one before it stays.", error.what)

    def _stamped(self) -> Stamp:
        cert, key = self._files
        try:
            return tuple((state.st_mtime_ns, state.st_ino) for state in (cert.stat(), key.stat()))
        except OSError as error:
            raise TlsInvalid(cert, key, f"{error.filename}: {error.strerror}") from error


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    def no_passphrase() -> str:
        # Without this OpenSSL would ask the terminal for one, and wait.
        message = "the key has a passphrase"
        raise ValueError(message)

    try:
        context.load_cert_chain(cert, key, password=no_passphrase)
    except (OSError, ValueError) as error:
        raise TlsInvalid(cert, key, getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)) from error
