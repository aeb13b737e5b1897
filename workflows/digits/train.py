"""Train one lane: print the loss of every epoch, save a checkpoint after each, go on from one with --resume.

A checkpoint holds everything that the next epoch depends on: the weights and the state of the shuffle. So a training
that was killed and resumed ends with the same weights, to the last bit, as one that was left alone.
"""

import argparse
import json
import os
import random
import sys
import time
from math import isfinite

import network
import trouble
from files import write_atomically

SEED = 7
BATCH = 16
CHECKPOINTS_KEPT = 5
DIVERGED = 3  # the exit code for a loss that is no number; workflows/digits.toml has a rule for it


def say(line):
    print(line, flush=True)


def text_of(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n"


def begin(args):
    """New weights, or those of the checkpoint; and the number of epochs that are already done."""
    rng = random.Random(SEED)
    if not args.resume:
        return network.new_weights(rng), rng, 0
    try:
        with open(args.resume, encoding="ascii") as file:
            saved = json.load(file)
        weights, (version, state, gauss), done = saved["weights"], saved["shuffle"], saved["epoch"]
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"cannot resume from {args.resume}: {error!r}")
    if saved["lr"] != args.lr:
        sys.exit(f"cannot resume from {args.resume}: it was trained with lr {saved['lr']}, this lane has {args.lr}")
    rng.setstate((version, tuple(state), gauss))
    say(f"resuming after epoch {done} from {args.resume}")
    return weights, rng, done


def save_checkpoint(args, weights, rng, epoch):
    """The newest few are kept. Only the one that this epoch replaces is removed: others may be older than a resume."""
    name = os.path.join(args.out, "ckpt", "epoch-%03d.json")
    saved = {"epoch": epoch, "lr": args.lr, "shuffle": rng.getstate(), "weights": weights}
    write_atomically(name % epoch, text_of(saved))
    say(f"Saved checkpoint {name % epoch} at step {epoch}")
    try:
        os.unlink(name % (epoch - CHECKPOINTS_KEPT))
    except FileNotFoundError:
        pass


def one_epoch(weights, rows, rng, rate):
    order = list(range(len(rows)))
    rng.shuffle(order)
    loss, right = 0.0, 0
    for start in range(0, len(order), BATCH):
        batch_loss, batch_right = network.learn(weights, [rows[at] for at in order[start : start + BATCH]], rate)
        loss += batch_loss
        right += batch_right
    return loss / len(rows), right / len(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--lr", required=True, help="kept as text, so that it is written as it was given")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", required=True)
    parser.add_argument("--resume", default="", help="a checkpoint to go on from")
    parser.add_argument("--trouble", default="none", choices=trouble.KINDS)
    args = parser.parse_args()

    with open(args.data, encoding="ascii") as file:
        rows = [(network.inked(picture), label) for picture, label in json.load(file)["train"]]
    weights, rng, done = begin(args)

    for epoch in range(done + 1, args.epochs + 1):
        started = time.monotonic()
        rate = float(args.lr) * trouble.strike(args.trouble, epoch, resumed=bool(args.resume))
        loss, accuracy = one_epoch(weights, rows, rng, rate)
        say(f"epoch {epoch}/{args.epochs} loss {loss:.4f} acc {accuracy:.4f} {time.monotonic() - started:.1f}s")
        if not isfinite(loss):
            say(f"error: the loss is {loss} in epoch {epoch}: the training diverged, and trying again will not help")
            sys.exit(DIVERGED)
        save_checkpoint(args, weights, rng, epoch)

    write_atomically(os.path.join(args.out, "final.json"), text_of({"lr": args.lr, "weights": weights}))
    say(f"trained {args.epochs} epochs with lr {args.lr}")


if __name__ == "__main__":
    main()
