"""The server's log: one JSON object a line on standard error.

gunicorn's master reads this file without the package around it (`.gunicorn_conf` says why), so
only the standard library is imported here.
"""

import json
import logging
import os
import time
import traceback
from collections.abc import Callable


class JsonLines(logging.Handler):
    """Writes records as JSON; a full disk loses lines, not requests.

    Of an exception it writes type and places, not the message, which may quote a request;
    ``EKG_LOG=debug`` adds that.
    """

    lost: Callable[[], None] = staticmethod(lambda: None)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as one line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "time": f"{moment}.{int(record.created % 1 * 1000):03d}Z",
            "level": record.levelname.lower(),
            "pid": record.process,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            entry["error"] = type(error).__name__
            entry["where"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
            if os.environ.get("EKG_LOG") == "debug":
                entry["message"] = str(error)
        try:
            os.write(2, (json.dumps(entry) + "\n").encode())  # whole lines, from any worker
        except OSError:
            type(self).lost()
