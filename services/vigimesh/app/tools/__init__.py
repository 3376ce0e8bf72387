"""Tools that distributions and MCP servers add: found, checked at start, run in processes of their own."""
