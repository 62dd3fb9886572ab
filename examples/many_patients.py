"""Many patients at once: a second of signal from each, in one batch, over and over.

python many_patients.py 64    # how many; they are simulated, put your own signal in their place
"""

import sys
import time

from ekg import Detector
from ekg.simulate import simulate

FS, SECONDS = 250, 20
count = int(sys.argv[1]) if len(sys.argv) > 1 else 16
signals = [simulate(SECONDS, fs=FS, seed=patient).signal for patient in range(count)]

detector = Detector.load()
streams = [detector.stream(FS, events=True) for _ in signals]  # each patient's state
beats = [[] for _ in signals]

started = time.perf_counter()
for second in range(SECONDS):
    chunks = [signal[second * FS : (second + 1) * FS] for signal in signals]
    for patient, new in enumerate(detector.push(streams, chunks)):  # chunks may differ in length
        beats[patient] += new
    # A stream is a few kB of plain numbers: it can go on in another process or on another machine.
    streams[0] = detector.resume(streams[0].save())
took = time.perf_counter() - started

for patient, (stream, found) in enumerate(zip(streams[:5], beats, strict=False)):
    ectopic = sum(beat.anomaly for beat in found)
    rate = stream.tracker.heart_rate
    print(
        f"patient {patient}: {len(found)} beats, {ectopic} not normal, now at {rate:.0f}/min, "
        f"{stream.tracker.current}"
    )
print(f"{count} patients, {SECONDS} s each, in {took:.2f} s")
