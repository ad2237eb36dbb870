"""On what terms a client calls: where, with which key, how long, how often; and what its connections are made with."""

import asyncio
import math
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from treadle import __version__
from treadle.client.request import sendable
from treadle.errors import NotSendable, ServiceUnreachable

TIMEOUT_SECONDS = 30.0
RETRIES = 3

CONNECT_SECONDS = 5.0
"""Longest wait for a connection; one that could not be made is tried again."""

CONNECTIONS = 100
IDLE_SECONDS = 3.0
"""How long an idle connection is kept: less than the five seconds that a worker keeps it, so that none is used as it closes."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """What tells a client the time and chance, and how it waits; a test may replace each."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    sleep: Callable[[float], object] = time.sleep
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Terms:
    """How a client calls: ``timeout`` in seconds for one attempt, ``retries`` attempts after the first."""

    url: str
    key: str | None
    timeout: float
    retries: int
    clocks: Clocks = field(default_factory=Clocks)

    @property
    def shown(self) -> str:
        """The address as an error may tell it: without the password that stands in it."""
        return re.sub(r"//[^/@]*@", "//", self.url)

    def connections(self) -> dict[str, Any]:
        """Return what a client of httpx is made with.

        Raises:
            ServiceUnreachable: the address is none.
            NotSendable: the key, the time-out or the number of retries is none.
        """
        if not (0 < self.timeout < math.inf):
            raise NotSendable("timeout", f"it is {self.timeout} s; allowed: a number of seconds above 0", "Give the call a deadline, too.")
        if self.retries < 0:
            raise NotSendable("number of retries", f"it is {self.retries}; allowed: 0 or more", "0 sends each request once.")
        headers = {"user-agent": f"treadle-client/{__version__}", "content-type": "application/json"}
        if self.key is not None:
            headers["authorization"] = f"Bearer {sendable('key', self.key, secret=True)}"
        return {
            "base_url": self._address(),
            "headers": headers,
            "limits": httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS),
        }

    def _address(self) -> httpx.URL:
        try:
            address = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise ServiceUnreachable(self.shown, str(error)) from error
        if address.scheme not in {"http", "https"} or not address.host:
            raise ServiceUnreachable(self.shown, "an address begins with http:// or https://, and names a host")
        return address


def patience(seconds: float) -> httpx.Timeout:
    """Return the limits of one attempt."""
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
