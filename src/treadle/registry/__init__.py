"""Model versions in MLflow, the gate, and the only way to a role."""
