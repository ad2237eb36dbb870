"""The controller: when to retrain, from which rows, and each step of a turn."""
