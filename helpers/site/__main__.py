"""``python -m helpers.site build/laptop/seed0``."""

import sys
from pathlib import Path

from helpers.site.pages import build_site

if len(sys.argv) != 2:
    sys.exit("usage: python -m helpers.site FOLDER, such as build/laptop/seed0")
try:
    print(build_site(Path(sys.argv[1])))
except OSError as error:
    sys.exit(str(error))
