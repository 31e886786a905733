"""Keys that dossiers are signed with: the public list of them, and where the private ones are held."""
