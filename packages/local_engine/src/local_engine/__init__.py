"""Serves the APIs and events of an AWS SAM template on one machine, without Docker and without AWS.

The command is `local-engine`. For Python, these modules are public, each with the names in its `__all__`:
`local_engine.template`, `local_engine.gateway`, `local_engine.services`, `local_engine.issuer` and
`local_engine.testing`. Everything else may change.
"""
