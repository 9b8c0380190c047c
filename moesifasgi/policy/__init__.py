"""What the dashboard decided, and what follows from it. Pure: randomness comes in as an argument."""
