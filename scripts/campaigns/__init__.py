"""The fault campaign, one file for each fault; ``scripts/chaos.py`` runs them."""
