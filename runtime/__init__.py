"""What touches the world, and the wiring: sockets, HTTP, tokens, configuration, the command line."""
