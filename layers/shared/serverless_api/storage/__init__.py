"""The DynamoDB table: its client, conditional writes, idempotency and exact JSON."""
