"""What is asked of a model: each file is one probe, which yields rows to ask and never sees the model."""
