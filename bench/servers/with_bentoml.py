"""A BentoML service with one worker; ``bentoml serve bench.servers.with_bentoml:Ekg``."""

from typing import Any

import bentoml

from bench.servers import model


@bentoml.service(workers=1)  # type: ignore[misc]
class Ekg:
    def __init__(self) -> None:
        self.answer = model.load()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, signal: list[float], fs: float) -> dict[str, Any]:
        return self.answer(signal, fs)
