"""The outside world behind Protocols: Kafka, registry, Postgres, objects, telemetry, with a memory twin beside each."""
