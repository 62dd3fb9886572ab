"""FastAPI; uvicorn serves it, with the faster event loop and parser that it recommends.

The routes are `async` although the model blocks for a moment: with one worker on one core that
is faster than FastAPI's thread pool.
"""

import numpy as np
from fastapi import FastAPI, Request
from pydantic import BaseModel

from bench.servers import model

app, answer = FastAPI(), model.load()


class Window(BaseModel):  # type: ignore[misc]
    signal: list[float]
    fs: float


@app.post("/predict", response_model=None)  # type: ignore[untyped-decorator]
async def predict(window: Window) -> dict[str, object]:
    return answer(window.signal, window.fs)


@app.post("/predict_raw", response_model=None)  # type: ignore[untyped-decorator]
async def predict_raw(request: Request, fs: float) -> dict[str, object]:
    return answer(np.frombuffer(await request.body(), dtype="<f4"), fs)
