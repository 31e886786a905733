"""The service: it takes a submission in, asks the model behind a wall, and hands out a dossier."""
