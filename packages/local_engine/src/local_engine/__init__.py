"""Serves the HTTP APIs of an AWS SAM template on one machine, without Docker and without AWS."""
