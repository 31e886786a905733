"""Checks of the family data governance: each file is one check."""
