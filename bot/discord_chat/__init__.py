"""Discord: the only package that imports discord.py. Knows the service, and only what runs the service knows it."""
