"""Publish the best weights under a name of this run's own, and print their digest.

usage: export.py BEST.json TARGET.json DIGEST
"""

import hashlib
import sys

from files import write_atomically


def main():
    source, target, digest = sys.argv[1:]
    with open(source, encoding="ascii") as file:
        text = file.read()
    write_atomically(target, text)
    found = hashlib.sha256(text.encode("ascii")).hexdigest()
    write_atomically(digest, f"{found}  {target}\n")
    print(f"exported {target}")
    print(f"sha256 {found}")


if __name__ == "__main__":
    main()
