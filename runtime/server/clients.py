"""Clients with names: tokens of their own and limits, from a file that the operator keeps.

gunicorn's master reads this file without the package around it (`.gunicorn_conf` says why), so
only the standard library is imported here.
"""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

MAX_CLIENTS = 64  # each has a place in the metrics
DEFAULT = "default"  # who has EKG_TOKEN
TOKEN = re.compile(r"[!-~]+")  # what a header can carry
FIELDS = {"tokens", "requests_per_second"}


class Client(NamedTuple):
    """Who may ask.

    Attributes
    ----------
    name : as metrics and log have it
    tokens : any of them will do, so that a new one can be handed out before the old one goes
    per_second : requests that are answered in a second of the clock; 0 for any number
    """

    name: str
    tokens: tuple[str, ...]
    per_second: int = 0


def read_clients(path: str) -> list[Client]:
    """Return the clients of a TOML file; none without a path.

    Raises
    ------
    ValueError
        One sentence, which quotes no token.
    """
    if not path:
        return []
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the clients' file {path} cannot be read ({error.strerror}).") from None
    except ValueError:  # the parser's own sentence may quote the file
        raise ValueError(
            f"the clients' file {path} is no TOML; expected [NAME] and below it tokens = [...]."
        ) from None
    if not 0 < len(tables) <= MAX_CLIENTS:
        raise ValueError(
            f"the clients' file {path} has {len(tables)} clients; expected 1 to {MAX_CLIENTS}."
        )
    clients = [_client(path, name, fields) for name, fields in tables.items()]
    every = [token for client in clients for token in client.tokens]
    if len(set(every)) < len(every):
        raise ValueError(
            f"a token stands twice in the clients' file {path}; expected each once, "
            "because it names its client."
        )
    return clients


def _client(path: str, name: str, fields: object) -> Client:
    """Return one of the file's tables as a client."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,32}", name):
        raise ValueError(
            f"a client in {path} is named {name[:40]!r}; expected 1 to 32 letters, digits, "
            "dots, hyphens or underscores."
        )
    if not isinstance(fields, dict) or not fields.keys() <= FIELDS:
        raise ValueError(
            f"the client {name} in {path} has other fields than expected: "
            "tokens, and requests_per_second if there is a limit."
        )
    tokens, per_second = fields.get("tokens"), fields.get("requests_per_second", 0)
    if not (
        isinstance(tokens, list)
        and tokens
        and all(isinstance(token, str) and TOKEN.fullmatch(token) for token in tokens)
    ):
        raise ValueError(
            f"the tokens of the client {name} in {path} are not usable; expected a list of "
            "strings, each of printable ASCII without spaces."
        )
    if "requests_per_second" in fields and not (type(per_second) is int and per_second > 0):
        raise ValueError(
            f"requests_per_second of the client {name} in {path} is not usable; expected a whole "
            "number from 1 on."
        )
    return Client(name, tuple(tokens), per_second)
