"""Lambda functions in processes of their own, and asynchronous invocation."""
