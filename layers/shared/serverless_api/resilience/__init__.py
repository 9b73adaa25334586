"""What keeps a request within its time and a failing dependency from taking the rest along.

`deadline` bounds everything by the invocation's time, `retry` repeats what is safe to repeat within a budget,
`circuit_breaker` stops calling what does not answer. Each works alone; `table` and `enrichment` show them together.
"""
