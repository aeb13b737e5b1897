"""One step of the pipeline of `cargo bench --bench pipeline`: the same processes for whoever supervises them.

Works through its units of work, one every `MINUTE` seconds times the minutes of a unit, and fails where faults.json says
so; where exactly, within three parts in a hundred of the step, the seed decides. What has happened is noted in
`faults/`, so that a fault strikes once, or until what it is about has been put right.
"""

import json
import os
import pathlib
import random
import signal
import socket
import sys
import time

STEPS = {"prepare": (10, 0.5), "train": (120, 0.5), "evaluate": (16, 0.5), "export": (6, 0.5)}
CHECKPOINT_EVERY = 10
MINUTE = float(os.environ["MINUTE"])
SAVED = b'{"whole": true}' + b" " * 4096 + b"end"


def strike(fault, mark, unit):
    """Lets the fault happen; comes back where it has been put right."""
    kind = fault["fault"]
    if kind == "rate_limited":
        if not mark.exists():
            mark.write_text(str(time.time() + fault["minutes"] * MINUTE))
        left = float(mark.read_text()) - time.time()
        if left > 0:
            print(f"HTTP/1.1 429 Too Many Requests\nRetry-After: {max(1, round(left))}", file=sys.stderr, flush=True)
            raise RuntimeError("429 Client Error: Too Many Requests")
        return
    if kind == "device_oom":
        if int(os.environ.get("BATCH", "64")) <= fault["fits"]:
            return
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 15.77 GiB")
    if kind == "denied":
        if pathlib.Path("token").exists():
            return
        raise PermissionError("401 Client Error: Unauthorized for url: /v1/models/export")
    if mark.exists():
        return
    mark.write_text("")
    if kind in ("refused", "reset"):
        if kind == "reset":
            raise ConnectionResetError(104, "Connection reset by peer")
        socket.create_connection(("127.0.0.1", 1))
    if kind == "preempted":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    if kind == "torn_checkpoint":
        path = pathlib.Path(f"ckpt_{unit}")
        path.write_bytes(SAVED[:100])
        print(f"Saved checkpoint {path} at step {unit}", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    if kind == "hang":
        while True:
            time.sleep(3600)


def main(step):
    units, minutes = STEPS[step]
    dice = random.Random(f"{os.environ['SEED']} {step}")
    faults = []
    for number, fault in enumerate(json.loads(pathlib.Path("faults.json").read_text())):
        if fault["step"] == step:
            at = max(1, round(units * (fault["at"] + dice.uniform(-0.03, 0.03))))
            faults.append((at, fault, pathlib.Path("faults") / f"{number}"))
    begin = 0
    if resume := os.environ.get("RESUME"):
        path = pathlib.Path(resume)
        if path.read_bytes() != SAVED:
            raise RuntimeError(f"{path}: the checkpoint is corrupt: unexpected end of file")
        begin = int(path.name.rpartition("_")[2])
        print(f"resumed from {path}", flush=True)
    pathlib.Path("faults").mkdir(exist_ok=True)
    with open("units", "a") as note:
        for unit in range(begin + 1, units + 1):
            time.sleep(minutes * MINUTE)
            note.write(f"{step} {unit}\n")
            note.flush()
            print(f"{step} {unit}/{units} loss={5 / (1 + unit / 20):.4f}", flush=True)
            if step == "train" and unit % CHECKPOINT_EVERY == 0:
                path = pathlib.Path(f"ckpt_{unit}")
                path.write_bytes(SAVED)
                print(f"Saved checkpoint {path} at step {unit}", flush=True)
            for at, fault, mark in faults:
                if at == unit:
                    strike(fault, mark, unit)
    pathlib.Path(f"{step}.done").write_text("")


main(sys.argv[1])
