"""Prepare the digits: check the download, hold some rows out, add shifted copies to the rest.

usage: prepare.py DIGITS.csv.gz OUT.json

Every fifth picture is held out and never trained on. Each of the others is used five times: as it is, and moved by
one pixel up, down, left and right.
"""

import gzip
import hashlib
import json
import sys

from files import write_atomically

SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
SIDE = 8


def read_rows(path):
    """The pictures and their labels: 64 grey values from 0 to 16, then the digit."""
    with open(path, "rb") as file:
        packed = file.read()
    found = hashlib.sha256(packed).hexdigest()
    if found != SHA256:
        sys.exit(f"{path} is not the file this workflow was written for: its sha256 is {found}, expected {SHA256}")
    lines = gzip.decompress(packed).decode("ascii").split()
    rows = [[int(float(value)) for value in line.split(",")] for line in lines]
    return [(row[:-1], row[-1]) for row in rows]


def moved(picture, down, right):
    """The picture moved by whole pixels; what enters at the edge is blank."""
    blank = [0] * SIDE
    lines = [picture[at * SIDE : (at + 1) * SIDE] for at in range(SIDE)]
    if down > 0:
        lines = [blank] + lines[:-1]
    elif down < 0:
        lines = lines[1:] + [blank]
    if right > 0:
        lines = [[0] + line[:-1] for line in lines]
    elif right < 0:
        lines = [line[1:] + [0] for line in lines]
    return [value for line in lines for value in line]


def main():
    source, target = sys.argv[1:]
    rows = read_rows(source)
    held_out = [row for at, row in enumerate(rows) if at % 5 == 4]
    own = [row for at, row in enumerate(rows) if at % 5 != 4]
    shifts = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    train = [(moved(picture, *shift), label) for picture, label in own for shift in shifts]

    write_atomically(target, json.dumps({"train": train, "held_out": held_out}, separators=(",", ":")))
    print(f"read {len(rows)} pictures from {source}")
    print(f"{len(train)} to train on ({len(own)} and their shifted copies), {len(held_out)} held out")


if __name__ == "__main__":
    main()
