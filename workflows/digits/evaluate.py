"""Judge every lane on the pictures that were held out, and keep the best one.

usage: evaluate.py DATA.json TRAIN_FOLDER BEST.json      TRAIN_FOLDER holds one folder per lane

Fails if even the best lane is right less often than MINIMUM.
"""

import glob
import json
import os
import sys

from files import write_atomically
from network import best_guess, forward, inked

MINIMUM = 0.94


def accuracy(weights, rows):
    right = sum(best_guess(forward(weights, pixels)[1]) == label for pixels, label in rows)
    return right / len(rows)


def main():
    data, train_folder, target = sys.argv[1:]
    with open(data, encoding="ascii") as file:
        rows = [(inked(picture), label) for picture, label in json.load(file)["held_out"]]
    lanes = []
    for path in glob.glob(os.path.join(train_folder, "*", "final.json")):
        with open(path, encoding="ascii") as file:
            lanes.append(json.load(file))
    if not lanes:
        sys.exit(f"no trained lane under {train_folder}")
    for lane in lanes:
        lane["accuracy"] = accuracy(lane["weights"], rows)
    lanes.sort(key=lambda lane: (-lane["accuracy"], float(lane["lr"])))

    for lane in lanes:
        print(f"lr {lane['lr']:>5}  accuracy {lane['accuracy']:.4f} on {len(rows)} held-out pictures")
    best = lanes[0]
    if best["accuracy"] < MINIMUM:
        sys.exit(f"the best accuracy is {best['accuracy']:.4f}, below {MINIMUM}")
    print(f"best: lr {best['lr']}")
    write_atomically(target, json.dumps(best, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
