"""The exported network: its files, its contract and what runs it.

Others use its modules by name: `artifacts` (files and hashes), `contract` (metadata), `frames`
(frames to beats), `providers` (the choice), `session` (one graph on one provider) and, imported
only when it is used, `cuda` (many streams on a GPU).
"""
