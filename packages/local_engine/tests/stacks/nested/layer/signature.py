SIGNATURE = "signed"
