PACKED = "packed"
