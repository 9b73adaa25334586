"""API Gateway: routes, authorizers, CORS, throttling and Lambda's Invoke API."""

from local_engine.gateway.routes import Route, UnservableRoute, read_routes

__all__ = ["Route", "UnservableRoute", "read_routes"]
