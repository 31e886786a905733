"""What the attacks are held by: each isolation backend in turn."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from make.walls import session_settings, wall

__all__ = ["session_settings", "wall"]
