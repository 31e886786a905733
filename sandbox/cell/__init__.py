"""All that enters a cell: this folder alone is copied into it, as the package `cell`; it imports nothing else of us."""
