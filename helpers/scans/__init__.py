"""Scans of switching loops: read, cleaned, fetched or simulated, and handed on as one `Scan`.

scan.py is that type, reading.py makes it from a file of any known format, fetch.py finds the file. One module reads
one kind of file: arrays.py (HDF5 of this project, NumPy), matlab.py, nsid.py (and microscopes), text.py, usid.py.
"""
