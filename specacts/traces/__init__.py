"""Conversations of any agent: read, typed, redacted, grouped, shared out into splits."""
