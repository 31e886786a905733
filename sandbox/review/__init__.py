"""Who may do what with submissions: people, organisations and roles, as tables."""
