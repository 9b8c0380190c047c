"""The process that keeps events until Moesif has them. Nothing outside this package may import it."""
