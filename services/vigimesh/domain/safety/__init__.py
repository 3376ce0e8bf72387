"""vigimesh.domain.safety."""
