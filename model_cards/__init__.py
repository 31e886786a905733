"""A dossier in, documents out: model cards, exports, plots and the words for them in each language."""
