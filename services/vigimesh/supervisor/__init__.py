"""vigimesh.supervisor."""
