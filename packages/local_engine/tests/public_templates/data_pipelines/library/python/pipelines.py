STATES = ["waiting", "running"]
