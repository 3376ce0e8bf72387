"""vigimesh.domain.knowledge."""
