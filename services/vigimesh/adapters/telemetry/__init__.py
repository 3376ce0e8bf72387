"""OpenTelemetry: metrics as Prometheus text, spans to a collector."""
