"""Checks of the family cybersecurity: each file is one check."""
