"""What the dashboard decided, and what follows from it. Pure: time and randomness come in as arguments."""
