"""A persona in the terminal."""
