"""Environments of models: the packages that a model asks for, resolved, built and kept apart from everything of ours.

Nothing of an environment is ever on the path of a process of the service: it is built in a cell, kept as files, and
mounted read-only into the cells of the model that asked for it.
"""
