"""Checks of the family robustness: each file is one check."""
