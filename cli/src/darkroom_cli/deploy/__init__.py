"""Deploying Darkroom: config.yaml, the commands that carry it out, and what looks after a deployment.

`config` and `values` say what can be configured, `plans` turns it into steps of commands, `runner` runs or prints
them. What is printed and what is run are the same values, so they cannot differ.
"""
