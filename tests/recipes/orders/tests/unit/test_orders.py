"""What an order keeps of its fields."""

BODY = '{"total": 12.50, "status": "paid", "items": [{"name": "Pencil", "quantity": 10}]}'


def test_an_order_comes_back_digit_by_digit(api):
    created = api.send("POST", "/api/v1/orders", body=BODY, scopes=["write:orders"])
    assert created.status == 201
    read = api.send("GET", created.headers["location"], scopes=["read:orders"])
    assert '"total":12.50' in read.body
    assert read.json() == created.json()
