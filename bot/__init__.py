"""Chat platforms and the web front end. Knows core; knows no torch and no SQL strings."""
