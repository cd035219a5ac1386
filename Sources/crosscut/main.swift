print("crosscut")
