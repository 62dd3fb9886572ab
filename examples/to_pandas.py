"""Beats and rhythm events as tables of pandas (`pip install pandas`).

python to_pandas.py             # the sample that comes with ekg
python to_pandas.py mitdb/200   # any record; WFDB records need the extra `files`
"""

import sys

from ekg import Detector, read

found = Detector.load().annotate(read(sys.argv[1] if len(sys.argv) > 1 else "sample"))
beats = found.to_dataframe()  # time, sample, label, score, rr
events = found.to_dataframe("events")  # kind, start, end, confidence, rule, codes

print(
    beats.groupby("label")
    .agg(beats=("time", "size"), score=("score", "mean"), rr=("rr", "median"))
    .round(3)
)
print()
columns = ["kind", "start", "end", "confidence"]
print(events[columns].round(2).to_string(index=False) if len(events) else "no events")
# beats.to_csv("beats.csv", index=False); events.to_parquet("events.parquet")
