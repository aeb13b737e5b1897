"""Writing a file so that a kill or a power cut leaves the old one or the new one, never half of it."""

import os


def write_atomically(path, text):
    """Write beside the target, sync, rename over it, sync the folder."""
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    beside = path + ".part"
    with open(beside, "w", encoding="ascii", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
