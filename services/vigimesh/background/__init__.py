"""Processes that are no stage: they keep the mesh going in the background."""
