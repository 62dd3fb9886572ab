"""BentoML services with one worker; ``bentoml serve bench.servers.with_bentoml:Ekg``."""

from typing import Annotated, Any

import bentoml
from pydantic import BaseModel, BeforeValidator, PlainSerializer

from bench.servers import model


@bentoml.service(workers=1)  # type: ignore[misc]
class Ekg:
    def __init__(self) -> None:
        self.answer = model.load()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, signal: list[float], fs: float) -> dict[str, Any]:
        return self.answer(signal, fs)


class Window(BaseModel):  # type: ignore[misc]
    signal: list[float]
    fs: float


# What BentoML batches are lists; one request's body and answer, as the others have it, is a list
# of one.
Windows = Annotated[list[Window], BeforeValidator(lambda body: [body])]
Answers = Annotated[list[dict[str, Any]], PlainSerializer(lambda answers: answers[0])]


@bentoml.service(workers=1)  # type: ignore[misc]
class BatchingEkg:
    def __init__(self) -> None:
        self.answers = model.load_many()

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def predict(self, windows: Windows, /) -> Answers:
        return self.answers([(window.signal, window.fs) for window in windows])
