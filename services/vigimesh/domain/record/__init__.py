"""vigimesh.domain.record."""
