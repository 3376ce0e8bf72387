"""vigimesh.intake."""
