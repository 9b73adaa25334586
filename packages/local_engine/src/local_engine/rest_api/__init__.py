"""REST APIs: methods, request validation, payload 1.0, gateway responses and mock integrations."""
