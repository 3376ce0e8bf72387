"""vigimesh.router."""
