"""The command line of Darkroom."""
