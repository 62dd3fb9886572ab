"""Who may ask: hosts, bearer tokens and their clients, and TLS."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address

from ..errors import EkgError, InputError
from .clients import DEFAULT, Client, read_clients
from .wire import bearer_token

HEALTH = ("/health/", "/v2/health/")  # any name and no token will do: a probe asks by address
OPEN = (*HEALTH, "/static/")  # without a token: nothing about anyone is there
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)


class RefusedError(EkgError):
    """The request is refused for what stands around its signal."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})


@dataclass(frozen=True)
class Gate:
    """Who may ask.

    Attributes
    ----------
    clients : by a token's SHA-256: every request but those to `OPEN` must carry one; empty if none
        is wanted
    hosts : names beside loopback's that a request may be sent to; None for any
    """

    clients: Mapping[bytes, Client]
    hosts: frozenset[str] | None

    @classmethod
    def of(cls, clients: Iterable[Client], address: str, hosts: str) -> Gate:
        """Return the gate of a server that listens on this address.

        Without a token and on loopback a web page could reach it under a name of its own that
        resolves to 127.0.0.1, so only loopback's names are answered there.

        Raises
        ------
        InputError
            A host is no name.
        """
        names = [name.strip().lower() for name in hosts.split(",") if name.strip()]
        for name in names:
            if _host(name) is None or _host(name) != name.strip("[]"):
                raise InputError(
                    f"the allowed host (EKG_ALLOW_HOST or --allow-host) is {name[:40]!r}; "
                    "expected a name or an address, without a port."
                )
        by_token = {_digest(token): client for client in clients for token in client.tokens}
        closed = names or (not by_token and _loopback(_host(address) or address))
        return cls(by_token, frozenset(name.strip("[]") for name in names) if closed else None)

    @classmethod
    def of_environment(cls, bearer: str | None = None, address: str | None = None) -> Gate:
        """Return the gate that the environment's settings ask for.

        Parameters
        ----------
        bearer, address : in place of ``EKG_TOKEN`` and ``EKG_BIND``

        Raises
        ------
        InputError
            One of the settings is not usable.
        """
        secret = bearer_token(bearer or os.environ.get("EKG_TOKEN"))
        try:
            clients = read_clients(os.environ.get("EKG_CLIENTS", ""))
        except ValueError as error:
            raise InputError(str(error)) from None
        return cls.of(
            [*clients, *([Client(DEFAULT, (secret,))] if secret else [])],
            address or os.environ.get("EKG_BIND", "127.0.0.1"),
            os.environ.get("EKG_ALLOW_HOST", ""),
        )

    def check(
        self, method: str, path: str, version: str, headers: Mapping[str, str]
    ) -> Client | None:
        """Return the client whose token a request carries; None if it needs none.

        Parameters
        ----------
        version : of HTTP
        headers : by lower-case name, those that were there twice joined by a comma

        Raises
        ------
        RefusedError
            Such a request is not to be answered.
        """
        host = headers.get("host")
        if version not in ("1.0", "1.1"):
            raise RefusedError(400, "the request is not HTTP/1.1; expected that.")
        if headers.get("expect", "100-continue").lower() != "100-continue":
            raise RefusedError(
                417,
                "the request's header 'Expect' asks for what is not known here; expected "
                "'100-continue', or no such header.",
            )
        if host is None and version == "1.1":
            raise RefusedError(400, "the request has no header Host; expected one (RFC 9112).")
        name = "localhost" if host is None else _host(host)
        if name is None:
            raise RefusedError(400, "the header Host is no host; expected one (RFC 9112).")
        if not (
            self.hosts is None or name in self.hosts or _loopback(name) or path.startswith(HEALTH)
        ):
            raise RefusedError(
                421,
                "the request is for another host; expected localhost, or a name that "
                "--allow-host or EKG_ALLOW_HOST gives.",
            )
        client = None
        if self.clients and not (path.startswith(OPEN) or path == "/"):
            client = self._client(headers.get("authorization", ""))
        if method == "POST" and headers.get("content-encoding", "identity").lower() != "identity":
            raise RefusedError(
                415, "the body is compressed (Content-Encoding); expected it as it is."
            )
        return client

    def _client(self, authorization: str) -> Client:
        scheme, _, token = authorization.partition(" ")
        # A digest that is looked up gives nothing of a token away by the time it takes.
        client = self.clients.get(_digest(token)) if scheme.lower() == "bearer" else None
        if client is None:
            raise RefusedError(
                401,
                "the request has no valid bearer token; expected the header "
                "'Authorization: Bearer TOKEN'.",
                {"WWW-Authenticate": "Bearer"},
            )
        return client


def check_tls(certificate: str, key: str) -> None:
    """Refuse TLS files that a server could not use.

    Parameters
    ----------
    certificate : path of a PEM file, with the chain; nothing for no TLS
    key : of a PEM file too; nothing if it stands with the certificate

    Raises
    ------
    InputError
    """
    if key and not certificate:
        raise InputError(
            "a TLS key is given without its certificate; expected both (--tls-cert, --tls-key)."
        )
    if certificate:
        try:
            # A password would be asked for at a terminal; with one that is wrong it is refused.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key or None, "")
        except OSError as error:  # of which SSLError is one
            reason = error.strerror if not isinstance(error, ssl.SSLError) else error.reason
            raise InputError(
                f"the TLS certificate {certificate} cannot be used"
                f"{f' with the key {key}' if key else ''} ({reason or 'not PEM'}); expected a "
                "certificate with its chain and its key, PEM files without a password."
            ) from None


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


@lru_cache(maxsize=64)
def _host(given: str) -> str | None:
    """The name in a header Host, without its port; None if there is none."""
    match = _HOST.fullmatch(given.strip())
    return match[1].strip("[]").lower() if match else None


@lru_cache(maxsize=64)
def _loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
