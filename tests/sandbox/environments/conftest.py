"""What the tests of environments share: each isolation backend in turn."""

from tests.make.walls import session_settings, wall

__all__ = ["session_settings", "wall"]
