"""LitServe with one worker: ``python -m bench.servers.with_litserve PORT``."""

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


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, log_level="error",
               generate_client_file=False)
