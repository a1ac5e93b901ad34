"""The domain of Darkroom: tasks and their life, what they may contain, and what is said about them.

Nothing in here opens a socket or knows AWS; `darkroom.aws` holds the adapters.
"""

__version__ = "0.1.0"
