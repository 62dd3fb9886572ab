"""An archive's records on a Dask cluster, until each is done or known to be bad."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError

import dask
from distributed import Client, KilledWorker, LocalCluster, as_completed

from ..ekg import EkgError
from .task import Job, Row, annotate

TRIES = 3  # of a record whose worker ends while it has it
AWAY_S = 300.0  # a scheduler may be away so long
PAUSE_S = 1.0
CONNECT_S = 10.0
START_S = 120.0  # a worker on this machine may take so long to start
# Of the cluster on this machine: what Dask looks at so often that an idle worker and its scheduler
# took 4.5 % of a core; like this they take 0.8 %.
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
    # Dask sets glibc's limit for giving memory back, which also ends glibc's own adjusting of it:
    # each array of signal was mapped anew, with eight times the page faults of a plain loop.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.dashboard.link": "{scheme}://{host}:{port}/",
}
# What a scheduler that ends leaves of a task; its record is given to the next one.
LOST = (CancelledError, asyncio.CancelledError, OSError, TimeoutError)


class SchedulerError(EkgError):
    """No scheduler answers."""


@contextlib.contextmanager
def local_cluster(workers: int | None) -> Iterator[tuple[str, str]]:
    """Start a cluster on this machine; gives its scheduler's and its dashboard's address.

    Its workers are still starting then.

    Parameters
    ----------
    workers : processes, of one thread each; one for each core without it
    """
    count = workers or os.cpu_count() or 1
    routes = [*dask.config.get("distributed.scheduler.http.routes"), f"{__package__}.dashboard"]
    with (
        dask.config.set({**QUIET, "distributed.scheduler.http.routes": routes}),
        LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            memory_limit=1.0 / count,
            preload=[annotate.__module__],  # while the records are listed
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},  # `dashboard` makes it at the first visit
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        cluster.scale(count)
        yield cluster.scheduler_address, cluster.dashboard_link


def annotate_all(
    jobs: Sequence[Job],
    scheduler: str,
    *,
    done: Callable[[Row], None],
    away_s: float = AWAY_S,
    start_s: float | None = None,
) -> list[Row]:
    """Return the jobs' rows in their order; a row with an ``error`` is of a record that failed.

    Workers may end: their records are given to others. The scheduler may end too: once it is there
    again it gets the records that are not done.

    Parameters
    ----------
    done : called with each row as it is there
    away_s : no scheduler may answer for so long
    start_s : a first worker has to be there within so long; without it, it may come at any time

    Raises
    ------
    SchedulerError
        No scheduler answers, or no worker starts.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a lost scheduler is no traceback
    rows: dict[int, Row] = {}
    heard = time.monotonic()
    while len(rows) < len(jobs):
        left = {i: job for i, job in enumerate(jobs) if i not in rows}
        try:
            with Client(scheduler, timeout=CONNECT_S, set_as_default=False) as client:
                if start_s is not None:
                    _wait_for_worker(client, start_s)
                for i, row in _rows(client, left):
                    rows[i] = row
                    done(row)
                    heard = time.monotonic()
        except LOST as error:
            if time.monotonic() - heard > away_s:
                raise SchedulerError(
                    f"no scheduler answers at {scheduler} ({error or 'no answer'}); expected one "
                    "of Dask distributed. What is done stays done."
                ) from error
            time.sleep(PAUSE_S)
    return [rows[i] for i in range(len(jobs))]


def _wait_for_worker(client: Client, within_s: float) -> None:
    try:
        client.wait_for_workers(1, timeout=within_s)
    except TimeoutError as error:
        raise SchedulerError(
            f"no worker started within {within_s:g} s; expected one at least. Is there memory left?"
        ) from error


def _rows(client: Client, jobs: Mapping[int, Job]) -> Iterator[tuple[int, Row]]:
    """The rows as they come, each with its job's number, until the scheduler is gone."""
    futures = {
        client.submit(annotate, job, pure=False, retries=TRIES - 1): i for i, job in jobs.items()
    }
    for future in as_completed(list(futures), loop=client.loop):
        i = futures.pop(future)
        source = jobs[i].source
        try:
            row = future.result()
        except LOST:
            raise
        except KilledWorker:
            what = f"{source} ended every worker that had it; is their memory too small?"
            row = {"source": source, "error": what}
        except Exception as error:  # of a library, with this record
            row = {"source": source, "error": f"{source} failed: {type(error).__name__}: {error}"}
        yield i, row
