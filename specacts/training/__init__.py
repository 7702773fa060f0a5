"""LoRA training: which tokens are labels, and how much each weighs."""
