"""Makes the folder of a new persona, from nothing or from a character card."""
