"""What follows each change of the table: audit trail, events, imports in bursts, and the erasure of users."""
