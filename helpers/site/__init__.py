"""A finished run as pages that open without a server: `make site`."""
