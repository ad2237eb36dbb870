"""One serving process: ``python -m treadle.serving.worker --fd N`` answers on the listening socket that it inherits.

With ``--ahead`` it has been started before there was one (``ahead``).
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from types import FrameType, ModuleType
from typing import cast

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from treadle.bundle.place import BundlePlace
from treadle.identity import pseudonyms
from treadle.serving import ahead
from treadle.serving.backlog import Backlog
from treadle.serving.follower import Follower
from treadle.serving.front import Front, Later, RequestIds
from treadle.serving.guard import Guard, security_headers
from treadle.serving.hot import HotPath
from treadle.serving.inference import Inference
from treadle.serving.memory import Memory
from treadle.serving.metrics import ServingMetrics, reserve
from treadle.serving.people import People
from treadle.serving.policies import Policies
from treadle.serving.protocol import QuickProtocol
from treadle.serving.spool import SpoolWriter
from treadle.serving.tls import Certificate
from treadle.serving.tracing import tracing_of
from treadle.settings import Workspace
from treadle.state.store import Store, open_store

POLL_SECONDS = 0.25
"""A new generation is followed within a second, whatever longer pause the settings ask for."""

LATER_SECONDS = 0.1
"""How long after the start the routes behind the hot path are made: those who have waited for the start are answered first."""

DRAIN_SECONDS = 8
"""How long requests that have begun may still take once the worker is asked to stop."""


def build(workspace: Workspace, certificate: Certificate | None = None) -> Guard:
    """Return the application of one worker of this workspace; while it runs, it follows a certificate that is renewed."""
    settings = workspace.settings
    reserve()
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry)
    spool = SpoolWriter(workspace.spool_dir, segment_bytes=int(settings.segment_mb * 1e6), durable=settings.durability == "host")
    inference = Inference(spool, metrics, pause=Backlog(workspace.backlog_file).pause)
    tracing = tracing_of(settings)
    people = People(workspace, lambda: Store(workspace.store_url))
    memory = Memory(workspace.home / "serving" / "followed.json")
    follower = Follower(
        inference,
        lambda: open_store(workspace.store_url),
        BundlePlace.of(workspace),
        spool,
        metrics,
        memory,
        policies=Policies(workspace),
        hide=partial(pseudonyms, workspace),
    )

    def routes() -> ASGIApp:
        """Make what stands behind the hot path: its modules are loaded here, and not before the first answer."""
        from treadle.serving.admin import Admin  # noqa: PLC0415 - as the sentence says
        from treadle.serving.app import create_routes  # noqa: PLC0415 - the same

        admin = Admin(workspace, lambda: Store(workspace.store_url), people=people, clock=time.time)
        made = create_routes(inference, registry, people=people, admin=admin)
        gc.freeze()
        return made

    later = Later(routes)

    @contextlib.asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        # Before the first request: a worker that was started again must not answer 404 for what is deployed.
        await asyncio.to_thread(follower.look)
        # What is there now stays: the collector of cycles need not walk over it again and again, for tens of milliseconds each time.
        gc.freeze()
        asyncio.get_running_loop().call_later(LATER_SECONDS, later.begin)
        following = [asyncio.create_task(follower.run(min(settings.poll_seconds, POLL_SECONDS)))]
        if certificate is not None:
            following.append(asyncio.create_task(certificate.follow()))
        yield
        for task in following:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        follower.close()
        people.close()
        spool.close()
        await asyncio.to_thread(tracing.close)

    front = RequestIds(Front(later, inference, lifespan=lifespan), tracing)
    return Guard(HotPath(front, inference, tracing=tracing), workspace, refused=metrics.refused, log=inference.log)


def run(workspace: Workspace, listener: socket.socket) -> None:
    """Answer on ``listener`` until SIGTERM; then finish what has begun.

    Raises:
        TlsInvalid: the certificate cannot be used.
    """
    certificate = Certificate(*workspace.tls) if workspace.tls else None
    config = uvicorn.Config(
        build(workspace, certificate),
        http=QuickProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        headers=security_headers(tls=certificate is not None),
        ssl_context_factory=(lambda _config, _default: certificate.context) if certificate else None,
        # The address of a caller is that of the connection: what a header says about it anybody could have written.
        proxy_headers=False,
    )
    # uvicorn raises the signal again when it has drained; before and after that it just means: leave.
    signal.signal(signal.SIGTERM, _leave)
    uvicorn.Server(config).run([listener])


def main(argv: Sequence[str]) -> None:
    """Run one worker in the workspace of the environment."""
    parser = argparse.ArgumentParser(prog="python -m treadle.serving.worker")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="file descriptor of the listening socket")
    where.add_argument("--ahead", action="store_true", help="be told over standard input what to serve")
    arguments = parser.parse_args(argv)
    listener = ahead.told() if arguments.ahead else socket.socket(fileno=arguments.fd)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # FastAPI loads the first pydantic too, only to see that no model of ours is one of its: a tenth of a second of every start.
    sys.modules.setdefault("pydantic.v1", cast("ModuleType", None))
    run(Workspace.find(), listener)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
