"""Recordings in, annotations out, one file a format."""
