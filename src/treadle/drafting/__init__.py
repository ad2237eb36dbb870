"""A project out of a table: look at it, guess what it is, write the folder. Everything that was guessed is said."""
