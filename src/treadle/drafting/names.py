"""What the name of a column gives away: an id, the time of the row, something personal. Pure."""

import itertools
import re
from collections.abc import Sequence

from treadle.spec import OUTPUT_COLUMNS

LONGEST = 200
"""Characters that a name in a contract may have."""

_ID = {"id", "ids", "uuid", "guid", "key", "nr", "no", "num", "number", "nummer", "numero", "identifier", "kennung", "ident"}
_WHOM = {
    *("customer", "client", "user", "person", "patient", "account", "household", "member", "subscriber", "employee", "student", "driver"),
    *("device", "machine", "vehicle", "sensor", "company", "merchant", "kunde", "kunden", "nutzer", "konto", "vertrag", "cliente"),
}
_COUNTERS = {"unnamed", "index", "row", "rownum", "rowid", "lfd", "line", "zeile"}
_TIME = {"date", "time", "timestamp", "datetime", "datum", "zeit", "zeitpunkt", "fecha", "day", "ts", "at", "am", "utc", "tag"}
_EVENTS = {
    *("created", "recorded", "observed", "measured", "logged", "event", "order", "ordered", "purchase", "purchased", "transaction"),
    *("sold", "sale", "listed", "booking", "booked", "snapshot", "asof", "erfasst", "bestellt", "bestellung", "gemessen", "verkauft"),
    *("stichtag", "buchung", "buchungsdatum", "bestelldatum", "verkaufsdatum", "messzeit", "pickup", "reading"),
}
_OTHER_TIME = {
    *("birth", "born", "dob", "geburt", "geburtsdatum", "geboren", "since", "seit", "start", "started", "signup", "joined", "registered"),
    *("hired", "opened", "end", "ends", "expiry", "expires", "due", "until", "valid", "cancelled", "closed", "last", "first", "next"),
    *("beitritt", "eintritt", "vertragsbeginn", "beginn", "ende", "kuendigung", "renovated", "built", "updated", "modified"),
}
_SENSITIVE = {
    "a person's name": {"surname", "lastname", "firstname", "fullname", "nachname", "vorname", "apellido", "prenom"},
    "an e-mail address": {"email", "mail", "e-mail"},
    "a telephone number": {"telephone", "telefon", "handy", "mobile", "phonenumber", "telefonnummer", "mobilnummer"},
    "an address": {"address", "street", "adresse", "strasse", "straße", "postcode", "zip", "zipcode", "plz", "postleitzahl", "postal"},
    "a date of birth or an age": {"birth", "birthday", "dob", "born", "birthdate", "geburt", "geburtsdatum", "senior"},
    "a gender": {"gender", "sex", "geschlecht", "genero", "sexe"},
    "a religion": {"religion", "religious", "konfession", "faith"},
    "an origin": {"race", "ethnicity", "ethnic", "nationality", "citizenship", "herkunft", "nationalität", "staatsangehörigkeit"},
    "a family status": {"marital", "married", "familienstand", "dependents", "children", "kinder", "partner", "pregnant", "pregnancy"},
    "something about health": {"disability", "health", "diagnosis", "disease", "behinderung", "gesundheit", "diagnose", "smoker"},
    "an opinion": {"political", "party", "union", "gewerkschaft", "orientation"},
    "a number that names a person": {"ssn", "passport", "iban", "ip", "taxid", "steuernummer", "ausweis"},
}
_AGES = {"age", "alter", "edad"}
_TARGETS = (
    "target",
    "label",
    "y",
    "class",
    "outcome",
    "churn",
    "churned",
    "default",
    "fraud",
    "survived",
    "species",
    "diagnosis",
    "result",
)


def words(name: str) -> list[str]:
    """Return the words of a name in small letters: of customerID, customer_id and "Customer ID" the same."""
    parts = re.findall(r"[A-ZÄÖÜ]+(?![a-zäöü])|[A-ZÄÖÜ]?[^\W\d_A-ZÄÖÜ]+|\d+", name)
    return [part.casefold() for part in parts]


def is_id(name: str) -> bool:
    """Tell whether a column is called like an id, a key or a number of something."""
    parts = words(name)
    return bool(parts) and (parts[-1] in _ID or parts[-1].endswith(("nummer", "_id")) or parts[0] in {"id", "uuid", "guid"})


def is_counter(name: str) -> bool:
    """Tell whether a column is called as if it numbered the rows."""
    return not words(name) or bool(set(words(name)) & _COUNTERS)


def names_whom(name: str) -> bool:
    """Tell whether an id is that of somebody or something whom rows are about."""
    return any(part in _WHOM or any(part.startswith(whom) for whom in _WHOM if len(whom) > 4) for part in words(name))


def own_time(name: str) -> int:
    """Return how much a name sounds like the time of the row itself: 2 much, 1 perhaps, 0 like some other time of the thing."""
    parts = set(words(name))
    if parts & _OTHER_TIME:
        return 0
    return 2 if parts & _EVENTS or (parts and parts <= _TIME) else 1


def sensitive(name: str) -> str:
    """Return what about a person a column of this name would hold; nothing if it sounds harmless."""
    parts = words(name)
    joined = {"".join(parts), *parts, *(first + second for first, second in itertools.pairwise(parts))}
    if parts and parts[-1] == "name" and (len(parts) == 1 or names_whom(name)):
        return "a person's name"
    if joined & _AGES and (len(parts) == 1 or names_whom(name)):
        return "an age"
    return next((what for what, known in _SENSITIVE.items() if joined & known), "")


def likely_target(columns: Sequence[str]) -> tuple[str, str]:
    """Return the column that is most likely the target, and why: one called like a target, else the last one."""
    for wanted in _TARGETS:
        for name in columns:
            if wanted in words(name):
                return name, f"it is called like a target ({wanted})"
    return columns[-1], "it is the last column, where a target often stands"


def allowed(columns: Sequence[str]) -> list[str]:
    """Return names that a contract allows, as near to the given ones as can be, each once."""
    found: list[str] = []
    for position, name in enumerate(columns, start=1):
        plain = " ".join(name.split())[:LONGEST].strip() or f"column_{position}"
        plain = f"{plain}_given" if plain in OUTPUT_COLUMNS else plain
        taken, number = plain, 2
        while taken in found:
            taken, number = f"{plain}_{number}", number + 1
        found.append(taken)
    return found
