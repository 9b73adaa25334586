def label(name):
    return f"bracelet {name}"
