"""Jobs on their way to a worker, and their replies back."""
