"""The main job of `workflows/digits.toml`, without dogwatch: killed at any moment and resumed, the weights are the same.

    python3 tests/digits.py            a few hundred pictures, under a minute
    DIGITS=all python3 tests/digits.py every picture, as in the workflow, about ten minutes
    SEED=n                             the kill times of an earlier run (the seed is printed)
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.join(HERE, "workflows", "digits")
SEED = int(os.environ.get("SEED", random.randrange(10**6)))
ALL = os.environ.get("DIGITS") == "all"
KILLS = 12
LANES = ("0.02", "0.1")
ENV = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")


def checkpoint_pattern():
    """The workflow's own pattern: what dogwatch will look for is what is looked for here."""
    with open(os.path.join(HERE, "workflows", "digits.toml"), encoding="utf-8") as file:
        return re.compile(re.search(r"^pattern = '(.*)'$", file.read(), re.MULTILINE).group(1))


class Training:
    """One lane in its own folder, as a step has it: every attempt starts from the newest announced checkpoint."""

    def __init__(self, folder, data, lr, trouble="none"):
        self.folder, self.data, self.lr, self.trouble = folder, data, lr, trouble
        self.resume, self.output, self.pattern = "", "", checkpoint_pattern()

    def attempt(self, kill_at=None, then=0.0):
        """Run until its end, or kill -9 so many checkpoints after the start and `then` seconds. The exit code."""
        command = [sys.executable, os.path.join(SCRIPTS, "train.py"), "--data", self.data, "--lr", self.lr]
        command += ["--out", self.folder, "--trouble", self.trouble]
        command += ["--resume", self.resume] if self.resume else []
        process = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        output, saved = [], 0
        timer = threading.Timer(then, process.kill)
        if kill_at == 0:
            timer.start()
        for line in process.stdout:
            output.append(line)
            seen = self.pattern.search(line)
            if seen:
                self.resume, saved = seen["path"], saved + 1
                if saved == kill_at:
                    timer.start()
        process.stdout.close()
        code = process.wait()
        timer.cancel()
        self.output = "".join(output)
        return code

    def final(self):
        with open(os.path.join(self.folder, "final.json"), "rb") as file:
            return file.read()


class Digits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}, {'every picture' if ALL else 'a few hundred pictures'}", flush=True)
        cls.place = tempfile.TemporaryDirectory(prefix="digits-")
        cls.data = os.path.join(cls.place.name, "digits.json")
        source = os.path.join(HERE, "assets", "digits", "digits.csv.gz")
        subprocess.run([sys.executable, os.path.join(SCRIPTS, "prepare.py"), source, cls.data], check=True, env=ENV)
        if not ALL:
            with open(cls.data, encoding="ascii") as file:
                rows = json.load(file)
            rows["train"] = rows["train"][:400]
            with open(cls.data, "w", encoding="ascii") as file:
                json.dump(rows, file)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def training(self, lr, trouble="none"):
        return Training(tempfile.mkdtemp(dir=self.place.name), self.data, lr, trouble)

    def test_killed_at_random_moments_and_resumed_the_weights_are_byte_identical(self):
        for lr in LANES:
            with self.subTest(lr=lr):
                calm = self.training(lr)
                self.assertEqual(calm.attempt(), 0, calm.output)
                dice = random.Random(f"{SEED} {lr}")
                epoch = 1.0 if ALL else 0.08
                killed, kills, resumed_from = self.training(lr), 0, set()
                while kills < KILLS:
                    code = killed.attempt(kill_at=dice.randrange(6), then=dice.uniform(0.0, epoch))
                    if code == 0:  # It ended before it was to be killed: once more from the start.
                        self.assertEqual(killed.final(), calm.final())
                        killed = self.training(lr)
                        continue
                    self.assertEqual(code, -signal.SIGKILL, killed.output)
                    kills += 1
                    resumed_from.add(killed.resume)
                self.assertEqual(killed.attempt(), 0, killed.output)
                self.assertEqual(killed.final(), calm.final())
                self.assertGreater(len(resumed_from), 3, "the kills were all at the same place: they prove little")
                print(f"lr {lr}: {kills} kills, {len(resumed_from)} different places to resume from", flush=True)

    def test_the_comparison_would_notice_a_lost_shuffle_state(self):
        calm, forgetful = self.training("0.1"), self.training("0.1")
        calm.attempt(kill_at=3)
        with open(calm.resume, encoding="ascii") as file:
            saved = json.load(file)
        saved["shuffle"] = random.Random(1).getstate()
        forgetful.resume = os.path.join(forgetful.folder, "forged.json")
        with open(forgetful.resume, "w", encoding="ascii") as file:
            json.dump(saved, file)
        self.assertEqual((calm.attempt(), forgetful.attempt()), (0, 0))
        self.assertNotEqual(calm.final(), forgetful.final())

    def test_a_crash_happens_once_and_the_resumed_attempt_ends_as_the_calm_one(self):
        calm, broken = self.training("0.1"), self.training("0.1", trouble="crash")
        self.assertEqual(calm.attempt(), 0)
        self.assertEqual(broken.attempt(), 1)
        self.assertIn("Traceback", broken.output)
        self.assertTrue(broken.resume.endswith("epoch-019.json"), broken.resume)
        self.assertEqual(broken.attempt(), 0, broken.output)
        self.assertEqual(calm.final(), broken.final())

    def test_a_divergence_ends_with_3_in_every_attempt(self):
        broken = self.training("0.1", trouble="diverge")
        for _ in range(2):
            self.assertEqual(broken.attempt(), 3, broken.output)
            self.assertIn("epoch 12/60 loss nan", broken.output)
            self.assertTrue(broken.resume.endswith("epoch-011.json"), broken.resume)

    def test_memory_runs_out_for_real_in_every_attempt(self):
        broken = self.training("0.1", trouble="oom")
        for _ in range(2):
            self.assertEqual(broken.attempt(), 1, broken.output)
            self.assertIn("\nMemoryError", broken.output)

    def test_a_hang_is_silent_and_the_attempt_after_it_goes_on(self):
        broken = self.training("0.1", trouble="hang")
        self.assertEqual(broken.attempt(kill_at=9, then=5.0), -signal.SIGKILL)
        self.assertTrue(broken.resume.endswith("epoch-009.json"), broken.resume)
        self.assertNotIn("epoch 10/60", broken.output)
        self.assertEqual(broken.attempt(), 0, broken.output)

    def test_a_checkpoint_of_another_lane_is_refused(self):
        first, second = self.training("0.1"), self.training("0.02")
        first.attempt(kill_at=1)
        second.resume = first.resume
        self.assertEqual(second.attempt(), 1)
        self.assertIn("cannot resume", second.output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
