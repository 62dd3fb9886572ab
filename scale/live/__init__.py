"""Live streams over NATS JetStream: signal in, findings out, states kept, patients shared."""
