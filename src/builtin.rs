//! MCP servers we ship. Imports `model` only.
