"""Builds and ends the parts of one process."""
