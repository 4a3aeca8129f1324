"""What is true on disk: synchronous, knows no event loop, imports nothing from the other rooms."""
