"""Checks of the family fairness: each file is one check."""
