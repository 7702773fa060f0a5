"""Put in front of the agent: a policy in a bundle, the gateway that acts by it, and the watch over its promise."""
