"""What the log says about a live model: drift, quality, and the canary."""
