"""Checks of the family accuracy: each file is one check."""
