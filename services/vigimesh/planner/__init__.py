"""vigimesh.planner."""
