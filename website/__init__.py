"""Makes the documentation site out of docs/, README.md, the CRDs and the examples (`make docs`)."""
