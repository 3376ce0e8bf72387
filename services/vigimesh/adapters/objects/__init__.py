"""The object store, and the summaries that lie in it."""
