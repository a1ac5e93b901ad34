"""What the API's routes stand on, in the folder where Chalice looks for it."""
