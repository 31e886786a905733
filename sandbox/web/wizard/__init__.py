"""Put a submission together page by page; it can be left at any moment and gone on with later, by somebody else too."""
