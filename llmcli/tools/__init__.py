"""Tools that a model may call: MCP servers and the user's own commands, and the approval of each call."""
