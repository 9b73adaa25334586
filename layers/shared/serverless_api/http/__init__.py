"""Requests and responses of the API: from the gateway's event to the gateway's answer."""
