"""Kafka and its schema registry: records in and out, and what workers follow there."""
