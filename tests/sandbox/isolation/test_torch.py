"""torch, which is too large for the cell's own tree, behind each wall: tried where a folder with it is named."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.isolation.interface import CellFiles
from tests.make.walls import SMALL, Wall, everything


@pytest.mark.skipif("AIACT_SANDBOX_TORCH_TREE" not in os.environ, reason="torch is large; make walls-torch tries it")
def test_torch_loads_learns_and_answers_behind_the_wall(wall: Wall) -> None:
    source = """
        def main(connection):
            from cell import landlock
            landlock.close_in()
            import torch
            torch.manual_seed(0)
            rows = torch.randn(500, 4)
            labels = (rows[:, :1] > 0).float()
            model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
            steps = torch.optim.Adam(model.parameters(), 0.05)
            for _ in range(60):
                steps.zero_grad()
                torch.nn.functional.binary_cross_entropy_with_logits(model(rows), labels).backward()
                steps.step()
            torch.save(model.state_dict(), "/tmp/weights")
            model.load_state_dict(torch.load("/tmp/weights", weights_only=True))
            right = ((model(rows) > 0).float() == labels).float().mean()
            connection.sendall(repr(float(right)).encode())
        """
    files = CellFiles(environment=Path(os.environ["AIACT_SANDBOX_TORCH_TREE"]))
    limits = replace(SMALL, memory_bytes=2 * 1024**3, processes=64, cpu_seconds=120, wall_seconds=180)
    running = wall.backend(wall.code(source)).open(files, limits)
    try:
        running.connection.settimeout(170)
        told = everything(running)
        running.ending()
        assert told, running.diagnostic()
        assert float(told) > 0.95
    finally:
        running.close()
