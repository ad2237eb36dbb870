"""One whole turn of the loop on simulated traffic, told live: ``treadle demo``."""
