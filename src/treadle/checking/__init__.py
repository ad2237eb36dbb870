"""Whether things hold: a project against what Treadle asks of one, and the machine against what Treadle needs."""
