"""The wall: one file per backend, one interface, and the proof of it in every run."""
