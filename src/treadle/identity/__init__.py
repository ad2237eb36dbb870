"""Who acts, and what he may: the bearer of a key, the person whom a trusted proxy names, or the user of the machine.

Keys stand in ``keys.json`` in the home folder as SHA-256 hashes; the token itself is shown once, when it is made. What is decided here
is who somebody is, what he may do at all and how often; whose consent a model needs is the model's policy.
"""

from treadle.identity.acting import Given, acting, from_proxy, key_header, named_by_proxy, os_user, resolve, shown_key, unknown
from treadle.identity.keys import PREFIX, Holder, Key, Keyring, Keys, hash_of, same
from treadle.identity.pseudonyms import Pseudonyms, pseudonyms
from treadle.identity.rate import Limit, take
from treadle.identity.who import ANONYMOUS, Identity

__all__ = [
    "ANONYMOUS",
    "PREFIX",
    "Given",
    "Holder",
    "Identity",
    "Key",
    "Keyring",
    "Keys",
    "Limit",
    "Pseudonyms",
    "acting",
    "from_proxy",
    "hash_of",
    "key_header",
    "named_by_proxy",
    "os_user",
    "pseudonyms",
    "resolve",
    "same",
    "shown_key",
    "take",
    "unknown",
]
