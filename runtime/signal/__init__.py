"""Signal before any network sees it.

Others use its modules by name: `units` (checks and millivolts), `resample` (any rate to the
model's), `r_peak`, `quality` (flaws of each second) and `features` (of five seconds).
"""
