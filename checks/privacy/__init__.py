"""Checks of the family privacy: each file is one check."""
