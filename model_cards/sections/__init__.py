"""The parts of a card, one file each; every one makes a `Section` of the same `Material`."""
