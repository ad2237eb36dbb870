"""Things go wrong on purpose, to see that the loop holds: ``treadle break``. Each drill is bounded and puts back what it can."""
