"""The pages of the service. Nothing here opens an upload or reaches a container engine."""
