"""Side-by-side measurements of the engine and its peers."""
