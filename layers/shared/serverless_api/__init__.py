"""What every function of the API imports.

Imports run one way, down: `endpoint` → `requests`, `responses`, `identity`, `validation` → `resources`, `enrichment`,
`idempotency` → `table` → `dynamodb`, `resilience` → `observability` → `settings`. Beside that chain stand what needs
no route: `batch` for batches of records, `warming` and `client_secret_rotation` for the functions of these names,
`version_verification` for the one that tries new versions, with `smoke`, which imports nothing of the package.
"""
