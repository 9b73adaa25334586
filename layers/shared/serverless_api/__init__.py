"""What every function of the API imports.

Imports run one way, down: `endpoint` → `requests`, `responses`, `identity`, `validation` → `resources` and
`idempotency` → `table` → `observability` → `settings`.
"""
