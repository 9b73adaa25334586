PLAIN = "plain"
