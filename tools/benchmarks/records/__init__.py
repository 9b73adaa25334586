"""Experiments with what follows each change of the table."""
