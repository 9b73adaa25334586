"""What every function of the API imports.

Imports run one way, down: `endpoint` → `requests`, `responses`, `identity`, `validation` → `resources`, `enrichment`,
`idempotency` → `table` → `dynamodb`, `resilience` → `observability`, `tracing` → `settings`. Beside that chain stand
what needs no route: `batch` for batches of records, which a function of yours may take, and `warming`,
`client_secret_rotation`, `version_verification` with `smoke` for the functions that do these.
"""
