"""API Gateway for one REST API."""
