"""Who may act: a lease with a fencing token, which grows each time that the lease changes hands.

A holder that slept past its lease may still believe in it. So every write of a holder first checks that no newer token
exists, in the transaction of the write. A clock that is wrong or jumps can make the lease change hands too early, never two write.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection, insert, select, update

from treadle.errors import LeaseLost
from treadle.state import events
from treadle.state.schema import leases
from treadle.state.store import Store


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of ``holder`` to act under ``name`` until ``expires`` (epoch seconds)."""

    name: str
    holder: str
    token: int
    expires: float


def acquire(store: Store, name: str, holder: str, *, ttl: float, now: float, dead: Lease | None = None) -> Lease | None:
    """Take the lease for ``ttl`` seconds with a new token; None while another holder's has not expired.

    A holder that asks again gets a new token: an earlier process of the same name must not go on beside it. ``dead``: a lease
    that counts as expired if it still stands just so.
    """
    with store.write() as conn:
        events.lock(conn)
        there = standing(conn, name)
        if there is None:
            lease = Lease(name, holder, 1, now + ttl)
            conn.execute(insert(leases).values(name=name, holder=holder, token=1, expires=lease.expires))
            return lease
        if there.holder != holder and there.expires > now and there != dead:
            return None
        lease = Lease(name, holder, there.token + 1, now + ttl)
        conn.execute(update(leases).where(leases.c.name == name).values(holder=holder, token=lease.token, expires=lease.expires))
        return lease


def standing(conn: Connection, name: str) -> Lease | None:
    """Return the lease as it stands, expired or not; None if nobody ever had it."""
    there = conn.execute(select(leases).where(leases.c.name == name)).first()
    return Lease(there.name, there.holder, there.token, there.expires) if there is not None else None


def holder(conn: Connection, name: str, *, now: float) -> str | None:
    """Return who holds the lease at ``now``; None if nobody does."""
    there = conn.execute(select(leases.c.holder).where(leases.c.name == name, leases.c.expires > now)).scalar()
    return str(there) if there is not None else None


def renew(store: Store, lease: Lease, *, ttl: float, now: float) -> Lease:
    """Hold ``lease`` for ``ttl`` seconds from ``now`` on, under the same token.

    Raises:
        LeaseLost: another process has taken it.
    """
    with store.write() as conn:
        check(conn, lease)
        conn.execute(update(leases).where(leases.c.name == lease.name).values(expires=now + ttl))
    return replace(lease, expires=now + ttl)


def release(store: Store, lease: Lease) -> None:
    """Give ``lease`` back, so that the next one need not wait; if it was lost already, nothing happens."""
    with store.write() as conn:
        mine = (leases.c.name == lease.name, leases.c.token == lease.token)
        conn.execute(update(leases).where(*mine).values(expires=0.0))


def check(conn: Connection, lease: Lease) -> None:
    """Make sure that ``lease`` is the newest, from here to the end of the transaction of ``conn``.

    Raises:
        LeaseLost: a newer token exists.
    """
    events.lock(conn)
    token = conn.execute(select(leases.c.token).where(leases.c.name == lease.name)).scalar()
    if token != lease.token:
        raise LeaseLost(lease.name, lease.holder)
