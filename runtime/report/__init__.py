"""A record as a page that a person reads."""
