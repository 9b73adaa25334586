"""Function URLs: HTTP endpoints of single functions."""
