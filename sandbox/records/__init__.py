"""What the service keeps: the database, the audit log, sealed evidence, uploads, and the outbox to MLflow."""
