"""A worker's figures for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

LATENCY_S = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """One worker's; ``serve`` answers ``/metrics``."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ekg_worker_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"ekg_worker_{name}", text, registry=registry)

        self.partitions = gauge("partitions", "Partitions that this worker holds.")
        self.workers = gauge("workers", "Workers that are there.")
        self.patients = gauge("patients", "Patients in work.")
        self.lag_s = gauge(
            "lag_seconds", "Age of the newest chunk taken while others wait; else 0."
        )
        self.pending = gauge("pending_chunks", "Chunks in the log that are not taken yet.")
        self.busy = gauge(
            "busy_share", "Share of the last turn that was work, 1 if it keeps no pace."
        )
        self.latency_s = Histogram(
            "ekg_worker_latency_seconds",
            "From the broker's taking a chunk to its taking the finding that the chunk decided.",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.chunks = counter("chunks", "Chunks taken.")
        self.samples = counter("samples", "Samples taken, missing ones included.")
        self.missing = counter("missing_samples", "Samples that never came, or were no voltage.")
        self.doubled = counter("doubled_samples", "Samples that came again and were left out.")
        self.refused = counter("refused_chunks", "Chunks that could not be read, or came too late.")
        self.findings = counter("findings", "Findings published.", "kind")
        self.conflicts = counter("conflicts", "Findings that another worker had published first.")
        self.retries = counter("retries", "Times that the broker did not answer in time.")
        self.checkpoints = counter("checkpoints", "States saved.")
        self.lost = counter("lost_partitions", "Partitions that another worker took over.")

    def serve(self, port: int, host: str) -> int:
        """Answer ``/metrics``; gives the port, which 0 leaves to the system."""
        server, _ = start_http_server(port, host, self.registry)
        return int(server.server_port)
