"""Episodes as token sequences, and a model's text back to actions: the one renderer."""
