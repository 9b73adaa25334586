"""The resources API in one word for each request."""

from typing import Any

from tests.support.gateway import Answer, Gateway


class ResourcesApi(Gateway):
    """The gateway, with a method for each route of the resources."""

    def create(self, body: Any = None, **options: Any) -> Answer:
        body = {"name": "thing", "type": "A"} if body is None else body
        return self.send("POST", "/api/v1/resources", body=body, **options)

    def read(self, resource_id: str, **options: Any) -> Answer:
        return self.send("GET", f"/api/v1/resources/{resource_id}", **options)

    def update(self, resource_id: str, body: Any = None, **options: Any) -> Answer:
        body = {"name": "changed", "type": "B"} if body is None else body
        return self.send("PUT", f"/api/v1/resources/{resource_id}", body=body, **options)

    def patch(self, resource_id: str, body: Any, **options: Any) -> Answer:
        return self.send("PATCH", f"/api/v1/resources/{resource_id}", body=body, **options)

    def delete(self, resource_id: str, **options: Any) -> Answer:
        return self.send("DELETE", f"/api/v1/resources/{resource_id}", **options)

    def search(self, **options: Any) -> Answer:
        return self.send("GET", "/api/v1/search", query={"q": "thing"}, **options)

    def page(self, **options: Any) -> Answer:
        return self.send("GET", "/api/v1/resources", **options)
