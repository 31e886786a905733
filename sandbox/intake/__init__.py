"""Receives, unpacks, scans and reads a submission; nothing of an upload is executed here."""

from sandbox.intake.bundle import Bundle, accept, read_table

__all__ = ["Bundle", "accept", "read_table"]
