"""The ports on AWS. Each adapter takes the boto3 client that it uses."""
