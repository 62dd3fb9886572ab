"""A first ECG from a file: its beats, its rhythm events, and whether the signal can be trusted.

python first_ecg.py             # the sample, half a minute of real ECG that comes with ekg
python first_ecg.py holter.csv  # or .edf, or a WFDB record named without its extension
"""

import sys
from collections import Counter

from ekg import Detector, read

record = read(sys.argv[1] if len(sys.argv) > 1 else "sample")  # one lead, in mV
detector = Detector.load()  # the model that comes with ekg, checked against its hashes
found = detector.annotate(record)

print(f"{record.name}, lead {record.lead}: {record.seconds:.0f} s")
print("beats:", dict(Counter(beat.label for beat in found.beats)))  # N is normal
for beat in found.beats:
    if beat.anomaly:
        print(f"{beat.time:9.2f} s  {beat.label}  {beat.score:.2f}")
for event in found.events:
    print(f"{event.start:9.2f} s  {event.kind}: {event.rule}")
print("signal:", "good" if found.quality.ok else found.quality)
