"""A simulated world and the traffic it sends, for demos, drills and tests."""
