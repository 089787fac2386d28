"""Discord: the only package that imports discord.py. Knows the service; nobody but the commands that run it knows this."""
