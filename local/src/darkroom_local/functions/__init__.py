"""The functions, run as AWS Lambda runs them."""
