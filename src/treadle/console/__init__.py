"""What a person sees in the terminal: live lines, tables, the demo."""
