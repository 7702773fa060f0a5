"""One module a format: how its objects become conversations."""
