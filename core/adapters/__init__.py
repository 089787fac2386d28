"""Adapter versions: which there are, what identifies them, what is wrong with one."""
