"""Lambda functions in separate processes, and asynchronous invocation."""
