"""The service for programs: REST under `/api/v1`, errors as RFC 9457 problem documents."""
