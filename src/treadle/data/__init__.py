"""From a source to checked, immutable rows: fetch, snapshot, validate, split."""
