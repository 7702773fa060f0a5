"""Asking models, and what they said: proposals and verdicts, recorded once."""
