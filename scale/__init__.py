"""Beyond one machine: live streams over NATS JetStream, archives over Dask distributed.

Each engine does what it is for (logs, replication, leases, scheduling); here lies only what joins
it to the detector. The runtime knows nothing of this folder; its commands join `ekg` as entry
points, and in a checkout they are `python -m scale`. docs/scale.md tells how it fits together.
"""
