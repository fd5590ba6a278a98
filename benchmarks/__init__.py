"""How fast the operator is, measured against the fastest client that could do its work. `make benchmark`"""
