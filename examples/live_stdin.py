"""Live from standard input: numbers in mV, one a line, from a device or another program.

cat /dev/ttyACM0 | python live_stdin.py 250    # the number is the sampling rate in Hz
"""

import sys
from itertools import islice

from ekg import Detector

fs = float(sys.argv[1])
stream = Detector.load().stream(fs, events=True)  # one patient; it follows the rhythm
samples = (float(line) for line in sys.stdin if line.strip())


def show(beats):
    """Print what was decided: beats 1.4 s after their R peak, events as they begin and end."""
    for beat in beats:
        print(f"{beat.time:9.2f} s  {beat.label}  {beat.score:.2f}", flush=True)
    for event in stream.events():
        state = "begins" if event.end is None else f"from {event.start:.2f} to {event.end:.2f} s"
        print(f"            {event.kind}  {state}", flush=True)


while chunk := list(islice(samples, round(fs / 4))):  # a quarter of a second; any length will do
    show(stream.push(chunk))
show(stream.finish())  # the signal has ended: the last beats, and the events that lasted
