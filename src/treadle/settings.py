"""Where a workspace is and how it is set: ``treadle.toml``, then ``TREADLE_*`` variables, which win.

A workspace is any folder with ``treadle.toml`` and ``projects/``; its state lies under ``home``.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from treadle.errors import SettingsInvalid, WorkspaceNotFound, choose_from

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MARKER = "treadle.toml"

KEY_VARIABLE = "TREADLE_KEY"
"""Holds a person's key. It is no setting: it must stand in no file and reach no other process."""

Role = Literal["predict", "label", "operate", "approve", "admin"]
"""What the bearer of a key may do; admin may all of it."""

ROLES: tuple[Role, ...] = get_args(Role)

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- what a service binds to, and where it is asked then

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://[^@?#\s]+")

_NO_SETTINGS = {"TREADLE_WORKSPACE", KEY_VARIABLE}

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


class Settings(BaseSettings):
    """All settings of a workspace. A key of ``treadle.toml``, or the same in capitals after ``TREADLE_``."""

    model_config = SettingsConfigDict(env_prefix="TREADLE_", env_ignore_empty=True, frozen=True, extra="forbid", allow_inf_nan=False)

    home: Path = Field(Path(".treadle"), description="Folder of all state; relative to the workspace.")
    store_url: str = Field("", description="SQLAlchemy URL of the state store; empty: SQLite in the home folder.")
    tracking_url: str = Field("", description="MLflow tracking URI; empty: SQLite in the home folder.")
    bundle_dir: Path | None = Field(
        None, description="Folder of sealed bundles, relative to the workspace; empty: bundles/ in the home folder."
    )
    remote_url: str = Field(
        "",
        description="URL of the place that hosts share for bundles and snapshots, such as s3://bucket/prefix or file:///mnt/shared; "
        "empty: none. The local folders are then caches of it.",
    )
    data_mirror: Path | None = Field(
        None, description="Folder with copies of public data sets, relative to the workspace; looked in before any download."
    )
    overlay: str = Field("", description="Name of a policy overlay: policy.<overlay>.yaml beside model.yaml, laid over the policy half.")
    offline: bool = Field(default=False, description="Never try to download data.")
    host: str = Field("127.0.0.1", description="Address that the services bind to.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    controller_port: int = Field(8009, ge=0, le=65535, description="Port of the controller's own /metrics; 0 takes a free one.")
    tracking_port: int = Field(5000, ge=0, le=65535, description="Port of the MLflow page in the demo.")
    workers: int = Field(2, ge=1, le=64, description="Serving processes.")
    durability: Literal["process", "host"] = Field(
        "process", description="What a logged prediction survives: the death of the process, or of the machine (group fsync)."
    )
    profile_seconds: float = Field(60, gt=0, description="Length in seconds of one part of the live profile.")
    poll_seconds: float = Field(
        0.25, gt=0, description="How often, in seconds, servers look for a new deployment and the shipper for rows."
    )
    controller_seconds: float = Field(5, gt=0, description="Length in seconds of one round of the controller.")
    retraining: bool = Field(default=True, description="Whether an alarm opens a turn of the loop; false: watch and tell, change nothing.")
    segment_mb: float = Field(16, gt=0, description="Size in MB at which a worker starts a new spool segment.")
    cap_gb: float = Field(
        0, ge=0, description="Size in GB of the home folder that `treadle gc` keeps below, if what is needed allows; 0: none."
    )
    trusted_proxies: str = Field(
        "", description="Networks (CIDR, with commas between them) of the proxies that may say who calls; empty: none may."
    )
    identity_header: str = Field(
        "X-Forwarded-User", pattern=r"^[A-Za-z0-9-]+$", description="Header in which a trusted proxy names the caller."
    )
    proxy_roles: str = Field(
        "predict, label, operate, approve",
        description=f"Roles of a caller whom a trusted proxy names, with commas between them: {', '.join(ROLES)}.",
    )
    access: Literal["keys", "proxy"] = Field(
        "keys",
        description="Who decides who may call: keys, or a proxy in front. With `proxy`, a request without a key is answered if it comes "
        "from `trusted_proxies`; where that is empty, from anywhere.",
    )
    tls_cert: Path | None = Field(
        None,
        description="PEM file with the certificate of the API and its chain, relative to the workspace; empty: no TLS.",
    )
    tls_key: Path | None = Field(None, description="PEM file with the private key of `tls_cert`, without a passphrase.")
    pseudonym_key: Path | None = Field(
        None,
        description="File of 32 random bytes that makes the pseudonyms of models with `pseudonymize`, relative to the workspace; empty: "
        "pseudonyms.key in the home folder, made at first use.",
    )
    traces: str = Field(
        "",
        pattern=r"^(https?://[^@?#\s]+)?$",
        description="OTLP/HTTP address that takes traces, such as http://127.0.0.1:4318/v1/traces; empty: no traces. "
        "It needs `pip install treadle[traces]`.",
    )
    trace_share: float = Field(
        0.01, ge=0, le=1, description="Share of the requests that are traced, of those that bring no `traceparent`; one that does decides."
    )

    @field_validator("remote_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not _REMOTE.fullmatch(value):
            raise ValueError("a URL is wanted, such as s3://bucket/prefix; user, password, key and token belong to the environment")
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @field_validator("proxy_roles")
    @classmethod
    def _are_roles(cls, value: str) -> str:
        unknown = sorted(set(_parts(value)) - set(ROLES))
        if unknown:
            message = f"{', '.join(unknown)} is no role: choose from {', '.join(ROLES)}"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _have_both(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: name both, or none")
        return self

    @cached_property
    def roles_by_proxy(self) -> frozenset[Role]:
        """The roles of ``proxy_roles``; admin brings all others with it."""
        named = _parts(self.proxy_roles)
        return frozenset(role for role in ROLES if role in named or "admin" in named)

    @cached_property
    def proxies(self) -> Networks:
        """The networks of ``trusted_proxies``."""
        return networks_of(self.trusted_proxies)


def networks_of(text: str) -> Networks:
    """Return the networks that stand in ``text`` with commas between them; an address alone is a network of one.

    Raises:
        ValueError: one of them is no network.
    """
    return tuple(ipaddress.ip_network(part) for part in _parts(text))


def _parts(text: str) -> list[str]:
    """Return what stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


class Workspace:
    """A folder with projects, its settings, and the places of its state."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings

    @classmethod
    def find(cls, start: Path | None = None) -> "Workspace":
        """Return the workspace at ``TREADLE_WORKSPACE``, or the nearest one at or above ``start`` (the current folder).

        Raises:
            WorkspaceNotFound: no folder on the way up holds a ``treadle.toml``.
            SettingsInvalid: a setting is unknown or has a value that is not allowed.
        """
        named = os.environ.get("TREADLE_WORKSPACE")
        begin = Path(named) if named and start is None else (start or Path.cwd())
        begin = begin.resolve()
        for folder in (begin, *begin.parents):
            if (folder / MARKER).is_file():
                return cls(folder, load_settings(folder / MARKER))
        raise WorkspaceNotFound(begin)

    @cached_property
    def home(self) -> Path:
        """The folder of all state."""
        return self._resolved(self.settings.home)

    @property
    def projects_dir(self) -> Path:
        """The folder that holds a folder per project."""
        return self.root / "projects"

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL of the state store."""
        return self.settings.store_url or f"sqlite:///{self.home / 'state.db'}"

    @property
    def tracking_url(self) -> str:
        """The MLflow tracking URI."""
        return self.settings.tracking_url or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def bundle_dir(self) -> Path:
        """The content-addressed folder of sealed bundles."""
        named = self.settings.bundle_dir
        return self._resolved(named) if named else self.home / "bundles"

    @property
    def data_mirror(self) -> Path | None:
        """The folder with copies of public data sets, if one is named."""
        named = self.settings.data_mirror
        return self._resolved(named) if named else None

    @property
    def spool_dir(self) -> Path:
        """The folder of segments that workers append to and the shipper empties."""
        return self.home / "spool"

    @property
    def backlog_file(self) -> Path:
        """Where the shipper tells the workers of this host how far it is behind."""
        return self.home / "serving" / "backlog"

    @property
    def snapshot_dir(self) -> Path:
        """The data repository of immutable snapshots."""
        return self.home / "data"

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """The files of certificate and private key, if the API speaks TLS."""
        cert, key = self.settings.tls_cert, self.settings.tls_key
        return (self._resolved(cert), self._resolved(key)) if cert and key else None

    def api_url(self, port: int | None = None) -> str:
        """Return where the API answers; without ``port``, on that of the settings."""
        return http_address(self.settings.host, self.settings.port if port is None else port, tls=self.tls is not None)

    def _resolved(self, folder: Path) -> Path:
        """Return an absolute path; a relative one starts at the workspace, wherever the process stands."""
        return (self.root / folder.expanduser()).resolve()


def load_settings(path: Path) -> Settings:
    """Read ``path`` and the environment into settings.

    Raises:
        SettingsInvalid: the file is not TOML, or a setting is unknown or has a value that is not allowed.
    """
    try:
        from_file = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsInvalid(str(path), [f"not TOML: {error}"]) from error
    _refuse_unknown(str(path), from_file)
    _refuse_unknown("the environment", _named_in_environment())
    # The file gives defaults; what the environment also names is left to the environment. Empty is as good as not given.
    given = {key: value for key, value in from_file.items() if value != "" and not os.environ.get(f"TREADLE_{key.upper()}")}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors()]
        raise SettingsInvalid(f"{path} or the environment", problems) from error


def _problem(item: "ErrorDetails") -> str:
    """Return a line; what is wrong with several settings together has no place, and its value would be all of them."""
    return f"{'.'.join(map(str, item['loc']))} = {item['input']!r}: {item['msg']}" if item["loc"] else item["msg"]


def _named_in_environment() -> list[str]:
    """Return the keys that TREADLE_* variables name; TREADLE_TEST_* belong to the tests, and two are no settings."""
    names = [name for name in os.environ if name.startswith("TREADLE_") and not name.startswith("TREADLE_TEST_")]
    return [name.removeprefix("TREADLE_").lower() for name in names if name not in _NO_SETTINGS]


def _refuse_unknown(source: str, keys: Iterable[str]) -> None:
    known = Settings.model_fields
    unknown = sorted(set(keys) - set(known))
    if unknown:
        raise SettingsInvalid(source, [f"unknown setting {key}: {choose_from(get_close_matches(key, known) or known)}" for key in unknown])


def http_address(host: str, port: int, *, tls: bool = False) -> str:
    """Return where a port of a host is asked; the host may be a number of IPv6, or stand for all of this machine's."""
    host, scheme = _EVERYWHERE.get(host, host), "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether an address is one that only this machine can reach; a name other than localhost is not known to be."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
