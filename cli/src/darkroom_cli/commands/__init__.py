"""The commands of `darkroom`: each reads its options, uses the client, and shows what came of it."""
