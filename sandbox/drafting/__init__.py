"""Turn what was filled in of a draft into a submission, and have a worker look at its files behind the walls."""
