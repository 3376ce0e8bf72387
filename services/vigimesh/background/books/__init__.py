"""vigimesh.background.books."""
