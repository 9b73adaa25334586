"""What follows each change of the table: the audit trail, events, imports and erasure."""
