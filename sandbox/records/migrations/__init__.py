"""Versions of the database's tables; added to, never edited."""
