"""What lives: actors that own their state and have a mailbox; imports `persistence` only."""
