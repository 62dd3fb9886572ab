"""The server in one process of threads, with waitress, for systems without gunicorn.

It is the application that gunicorn's workers run. `.gunicorn_conf` adds what is missing here: a
process for each core, limits to slow clients, short requests as one batch, and an end that waits
for what was accepted.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from ..detector import Detector
from .app import MAX_DISCARDED, create_app

THREADS = 64  # as gunicorn_conf has; admission decides how many compute


def serve(detector: Detector, host: str, port: int, log_level: str) -> None:
    """Serve the model until Ctrl-C.

    Parameters
    ----------
    log_level : debug, info, warning or error; info logs every request, without its data
    """
    import waitress

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level="WARNING", handlers=[handler])
    logging.getLogger("ekg").setLevel(log_level.upper())
    logging.getLogger("waitress.queue").setLevel("ERROR")  # a short queue is no warning here
    waitress.serve(
        create_app(detector),
        host=host,
        port=port,
        threads=THREADS,
        ident=None,
        max_request_body_size=MAX_DISCARDED,
    )  # the application refuses less


class _JsonFormatter(logging.Formatter):
    """One JSON object a line; of an exception its type only: its message may quote a request."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "time": f"{moment}.{int(record.created % 1 * 1000):03d}Z",
            "level": record.levelname.lower(),
            "pid": record.process,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            entry["error"] = record.exc_info[0].__name__
        return json.dumps(entry)
