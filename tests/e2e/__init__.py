"""A package, so that its clouds, the fixtures of its scope, end with its last test and not with the run."""
