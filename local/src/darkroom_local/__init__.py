"""Darkroom's cloud on one machine: the same template, the same functions, no account."""
