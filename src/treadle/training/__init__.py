"""From rows to a sealed bundle: pipeline, fit, evaluate, export, parity, card."""
