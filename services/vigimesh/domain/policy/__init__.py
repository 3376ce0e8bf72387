"""vigimesh.domain.policy."""
