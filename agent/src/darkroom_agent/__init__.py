"""The queue agent: one process beside a GPU runtime that takes tasks from a queue and runs them.

A task's way, and where it stands: `intake` (receive, claim) → `inputs` (links become bytes) → `runs` (the GPU) →
`deliveries` (upload, report, delete). `worker` leads tasks along it, `leases` keeps hold of each meanwhile,
`drains` says when to stop.
"""
