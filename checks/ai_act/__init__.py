"""The AI Act as dated, cited rules: risk class, duties, and what the evidence covers."""
