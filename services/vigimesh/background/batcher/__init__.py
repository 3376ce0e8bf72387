"""Buys gathered cold work in batches, each call counted once."""
