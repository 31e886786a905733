"""Tell people and programs what happened: webhooks and mail, out of one table, sent by the worker."""
