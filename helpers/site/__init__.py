"""A finished run as pages that open without a server: ``python -m helpers.site build/laptop/seed0``, or `make site`."""
