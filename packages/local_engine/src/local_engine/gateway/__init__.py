"""API Gateway: routes, authorizers, CORS, throttling and Lambda's Invoke API."""

from local_engine.gateway.routes import Route, read_routes

__all__ = ["Route", "read_routes"]
