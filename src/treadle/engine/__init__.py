"""From rows to answers: encode, run the graph, decode. Nothing here knows HTTP or a training library."""
