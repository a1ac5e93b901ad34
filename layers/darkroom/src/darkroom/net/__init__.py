"""Adapters that open sockets of their own."""
