"""What the staging Job runs: list, download, verify, publish."""
