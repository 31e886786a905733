"""Checks of the family explainability: each file is one check."""
