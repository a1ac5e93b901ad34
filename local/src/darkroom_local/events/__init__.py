"""What invokes functions when nobody calls them."""
