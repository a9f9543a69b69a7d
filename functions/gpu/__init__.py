"""The GPU process: ticket in, tokens out, usage settled."""
