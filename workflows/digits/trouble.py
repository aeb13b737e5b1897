"""What `-p trouble=…` breaks on purpose, so that you can watch what dogwatch does about it.

crash    a Traceback in epoch 20, once: the retry goes on from the checkpoint and ends well
hang     silent for ever from epoch 10 on, once: the step's timeout ends it, and the retry ends well
diverge  a learning rate far too large from epoch 12 on, every time: the loss is nan, and a person is needed
oom      memory without end in epoch 15, every time, under a limit that it sets for itself
"""

import resource
import time

KINDS = ("none", "crash", "diverge", "hang", "oom")
MIB = 1024 * 1024


def strike(kind, epoch, resumed):
    """Called at the start of every epoch. Returns the factor for the learning rate, if it returns at all."""
    if kind == "crash" and epoch == 20 and not resumed:
        raise RuntimeError("broken on purpose: trouble=crash strikes in epoch 20")
    if kind == "hang" and epoch == 10 and not resumed:
        while True:
            time.sleep(3600)
    if kind == "oom" and epoch >= 15:
        exhaust_memory()
    return 1e200 if kind == "diverge" and epoch >= 12 else 1.0


def exhaust_memory():
    """Ask for more and more until there is a MemoryError. The limit protects the machine: 256 MiB above the present size."""
    with open("/proc/self/statm", encoding="ascii") as file:
        present = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (present + 256 * MIB, hard))
    hoard = []
    while True:
        hoard.append(bytearray(16 * MIB))
