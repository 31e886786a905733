"""One assessment on several workers: idle ones lend cells, and the one that assesses stays the only one that judges."""
