"""One module a DVC stage; each runs as `python -m stages.<name>` from the repository root."""
