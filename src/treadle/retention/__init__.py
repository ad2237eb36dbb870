"""What is kept and what may go: a pure plan over an inventory, and the sweep that carries it out."""
