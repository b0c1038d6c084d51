"""The engine as a separate process: its HTTP server, the client, and starting and stopping
it."""
