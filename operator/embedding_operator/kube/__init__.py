"""What talks to the API server: client, cache, work queue, leader election, events."""
