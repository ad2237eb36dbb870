"""The sealed bundle: manifest, content-addressed place, and the reference profile."""
