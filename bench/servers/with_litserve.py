"""LitServe with one worker: ``python -m bench.servers.with_litserve PORT [MOST TIMEOUT_S]``.

With the last two it answers up to so many requests as one batch, and waits for them so long.
"""

from __future__ import annotations

import sys
from typing import Any

import litserve

from bench.servers import model


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.answer = model.load()

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads the type
        return request

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.answer(request["signal"], request["fs"])

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


class BatchApi(Api):
    def setup(self, device: str) -> None:
        self.answers = model.load_many()

    def predict(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:  # type: ignore[override]
        return self.answers([(request["signal"], request["fs"]) for request in requests])


if __name__ == "__main__":
    port, *batching = sys.argv[1:]
    api = BatchApi(int(batching[0]), float(batching[1])) if batching else Api()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(port),
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
    )
