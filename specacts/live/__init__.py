"""The closed loop: policies at work on the simulators."""
