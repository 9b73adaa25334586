"""Deadlines, retries, circuit breakers and batches. Each works on its own."""
