"""Checks of the family documentation: each file is one check."""
