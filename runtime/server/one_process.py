"""The server in one process of threads, with waitress, for systems without gunicorn.

It is the application that gunicorn's workers run. `.gunicorn_conf` and `.asgi` add what is missing
here: a process for each core, limits to slow clients, short requests as one batch, and an end that
waits for what was accepted.
"""

from __future__ import annotations

import logging

from ..detector import Detector
from .app import create_app
from .log import JsonLines

THREADS = 64  # admission decides how many compute
MAX_DISCARDED = 256 << 20  # bytes of a body that is refused by the application


def serve(detector: Detector, host: str, port: int, log_level: str) -> None:
    """Serve the model until Ctrl-C.

    Parameters
    ----------
    log_level : debug, info, warning or error; info logs every request, without its data
    """
    import waitress

    logging.basicConfig(level="WARNING", handlers=[JsonLines()])
    logging.getLogger("ekg").setLevel(log_level.upper())
    logging.getLogger("waitress.queue").setLevel("ERROR")  # a short queue is no warning here
    waitress.serve(
        create_app(detector, address=host),
        host=host,
        port=port,
        threads=THREADS,
        ident=None,
        max_request_body_size=MAX_DISCARDED,
    )
