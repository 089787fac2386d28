"""Turns personas/ and feedback into adapters. Knows core; knows no chat SDK."""
