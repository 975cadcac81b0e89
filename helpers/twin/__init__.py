"""A simulated film whose switching mechanisms are known."""
