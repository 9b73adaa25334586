"""What is run against a stack: its deployment and the smoke test."""
