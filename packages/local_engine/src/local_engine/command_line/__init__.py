"""Commands of `local-engine`."""
