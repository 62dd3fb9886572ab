"""Times `Stream.push` on request: the part of `bench.before_after` that runs in a checkout.

Reads ``alone COUNT`` or ``followed COUNT`` from standard input, pushes so many seconds of signal,
and prints the median of a push in ms. It may use of the runtime only what every commit has.
"""

from __future__ import annotations

import statistics
import sys
from itertools import cycle, islice
from time import perf_counter

from runtime import Detector
from runtime.simulate import simulate

FS, SECONDS, WARM_UP = 360, 60, 40


def main() -> None:
    detector = Detector.load(provider="cpu")
    seconds = simulate(SECONDS, seed=5).signal.reshape(SECONDS, FS)
    streams = {
        name: detector.stream(FS, events=name == "followed") for name in ("alone", "followed")
    }
    signals = {name: cycle(seconds) for name in streams}

    def push(name: str, count: int) -> float:
        stream, times = streams[name], []
        for second in islice(signals[name], count):
            started = perf_counter()
            stream.push(second)
            if name == "followed":
                stream.events()
            times.append(perf_counter() - started)
        return 1000 * statistics.median(times)

    for name in streams:
        push(name, WARM_UP)
    print("ready", flush=True)
    for line in sys.stdin:
        name, count = line.split()
        print(push(name, int(count)), flush=True)


if __name__ == "__main__":
    main()
