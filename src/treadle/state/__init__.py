"""What is true: deployments, the log of predictions and labels, turns, episodes, verdicts, and the chained events."""
