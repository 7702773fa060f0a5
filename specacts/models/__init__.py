"""Base models: fetched by their pin, converted to safetensors, cut to layers, loaded."""
