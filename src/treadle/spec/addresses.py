"""Addresses that hold secrets: whether one does, and how it is shown without them. Pure text, whatever the scheme."""

import re
from urllib.parse import parse_qsl, urlsplit, urlunsplit

HIDDEN = "***"
_TELLING = re.compile(r"pass|pwd|secret|token|signature|credential|api.?key|access.?key|^sig$", re.IGNORECASE)


def holds_secret(url: str) -> bool:
    """Tell whether a password stands before the host, or something like one among the parameters."""
    return without_secrets(url) != url


def without_secrets(url: str) -> str:
    """Return an address with *** in place of each password, token or signature."""
    begin, mark, rest = url.partition("://")
    if not mark:  # no address, but what stands before an @ may still be a password
        user, at, host = url.rpartition("@")
        return f"{user.partition(':')[0]}:{HIDDEN}{at}{host}" if ":" in user else url
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    name, colon, _ = user.partition(":")
    hidden = f"{begin}://{f'{name}:{HIDDEN}' if colon else user}{at}{host}{slash}{path}"
    parts = urlsplit(hidden)
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if value and _TELLING.search(key):
            shown = re.sub(rf"((?:^|&){re.escape(key)}=)[^&]*", rf"\g<1>{HIDDEN}", parts.query)
            parts = parts._replace(query=shown)
    return urlunsplit(parts) if parts.query else hidden
