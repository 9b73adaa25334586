def open_page(uri):
    raise ConnectionError(f"no page at {uri}")
