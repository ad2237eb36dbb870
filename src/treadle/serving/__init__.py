"""The service: routing, inference, the log, and the processes that carry them."""
