"""Engines that write replies. Only `base` may be imported without torch."""
