"""Beats and rhythm events as tables of pandas (`pip install pandas`).

python to_pandas.py             # the sample that comes with ekg
python to_pandas.py mitdb/200   # any record; WFDB records need the extra `files`
"""

import sys

import pandas as pd
from ekg import Detector
from ekg.records import read

record = read(sys.argv[1] if len(sys.argv) > 1 else "sample")
result = Detector.load().predict(record.signal, fs=record.fs, events=True)

beats = pd.DataFrame(
    [(beat.time, beat.label, beat.score) for beat in result.beats],
    columns=["time", "label", "score"],
)
beats["rr"] = beats["time"].diff()  # s since the beat before
events = pd.DataFrame(
    [(event.kind, event.start, event.end, event.confidence) for event in result.events],
    columns=["kind", "start", "end", "confidence"],
)

print(
    beats.groupby("label")
    .agg(beats=("time", "size"), score=("score", "mean"), rr=("rr", "median"))
    .round(3)
)
print()
print(events.round(2).to_string(index=False) if len(events) else "no events")
# beats.to_csv("beats.csv", index=False); events.to_parquet("events.parquet")
