"""What older versions of the operator left on an API server, recorded as data: see `record.py`."""
