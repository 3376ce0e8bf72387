"""vigimesh.tool_executor."""
