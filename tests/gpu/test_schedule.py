# SPDX-License-Identifier: MIT
"""How tests/gpu/run divides its time, on a clock that only moves when something is done: on a large
card whose programs take what is guessed, or more, or less, or do not end."""
import json
import os
import re
import sys
import tempfile
import types

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import apps  # noqa: E402
import looks  # noqa: E402
import place  # noqa: E402
import schedule  # noqa: E402
import steps  # noqa: E402
import tables  # noqa: E402
from formats import Tap  # noqa: E402

LARGE = {"name": "NVIDIA Large", "memory": 139 * apps.GIB, "host": 128 * apps.GIB, "simulated": False,
         "compute": 9.0, "driver": 13.0, "kernel": "6.1"}
with open(os.path.join(HERE, "experiments.def"), encoding="utf-8") as file:
    GIVEN = {name: int(seconds) for name, seconds in re.findall(r'^EXPERIMENT\((\w+), "[^"]*", (\d+)',
                                                                file.read(), re.MULTILINE)}
tap = Tap()
ok = tap.ok


class Clock:
    """Moves when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def spend(self, seconds, most):
        self.now += min(seconds, most)
        if seconds > most:
            raise apps.Failed(f"no end in {most:.0f} seconds")


class Place:
    """One where everything is there and nothing is started."""
    simulated, python, sources, profile, work = False, "python3", "", "none", ""

    def binary(self, name):
        return name

    tool = binary

    def environment(self):
        return {}

    def shimmed(self, budget=None, engine=None):
        return {"budget": budget}, "no such file"

    def chunk(self):
        return apps.MIB


class Machine(steps.Run):
    """Programs that take `slow` times what is guessed of them, by the clock."""

    def __init__(self, folder, seconds=540, slow=1.0, hangs=(), lacks=(), **more):
        self.clock, self.slow, self.hangs, self.lacks = Clock(), slow, hangs, lacks
        options = types.SimpleNamespace(resume=None, only=None, seconds=seconds, pairs=2, faults=True,
                                        ratios=list(apps.RATIOS))
        vars(options).update(more)
        super().__init__(options, Place(), schedule.Deadline(seconds, self.clock))
        self.results["card"] = dict(LARGE)
        self.base = os.path.join(folder, "large")
        self.sized = {}

    def ask(self, name, environment, seconds):
        self.clock.spend(self.slow * max(GIVEN[name] / 8, 2), seconds)
        return {"verdict": "confirmed", "note": "", "question": "",
                "figures": [{"name": "pinned: to the card", "value": 50, "unit": "GB/s"}]}

    def tool(self, name, *words, seconds=0):
        self.clock.spend(float(words[1]) if name == "bench" else self.slow * 8, seconds)
        return {"points": [], "left_out": 0, "checks": [], "passed": 1, "warnings": 0, "failed": 0,
                "skipped": 0}

    def start(self, words, environment, seconds):
        """What apps.start() is replaced by."""
        at = words.index("--form")
        form, weights = words[at + 1], int(words[words.index("--weights") + 1])
        name = next(name for name, row in apps.PROGRAMS.items()
                    if row["form"] == form and words[at - 1].endswith(row["file"]))
        program = apps.PROGRAMS[name]
        if name in self.lacks:
            raise apps.Skipped("it is not installed")
        took = program["starts"] + weights / apps.LOADING + program["passes"] * weights / apps.READING
        if environment.get("budget"):
            took = apps.guess_less(weights, took, weights / environment["budget"], program["passes"],
                                   weights / apps.READING, 5e10)
        self.sized.setdefault(name, set()).add(weights // apps.GIB)
        self.clock.spend(1e9 if name in self.hangs else self.slow * took, seconds)
        run = {"weights": weights, "other": 0, "digest": "a",
               "passes": [weights / apps.READING] * program["passes"]}
        return run, self.slow * took

    def look_at(self, place, card, name, passes, what, deadline, sizes=None):
        """What looks.look() is replaced by."""
        if name in self.lacks:
            raise apps.Skipped("it is not installed")
        self.clock.spend(self.slow * (apps.PROGRAMS[name]["starts"] + 3), deadline.left())
        return {"verdict": "confirmed", "note": "", "question": "", "sizes": {"weights": 1, "other": 0}}

    def run(self):
        listed = "".join(f"{name} {seconds} E1 why?\n" for name, seconds in GIVEN.items())
        real = steps.subprocess.run, apps.start, steps.time.monotonic, looks.look
        steps.subprocess.run = lambda *words, **how: types.SimpleNamespace(stdout=listed)
        apps.start, steps.time.monotonic, looks.look = self.start, self.clock, self.look_at
        out, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
        try:
            self.go()
        finally:
            sys.stdout.close()
            sys.stdout = out
            steps.subprocess.run, apps.start, steps.time.monotonic, looks.look = real
        self.took = self.clock.now - 1000
        self.states = {key: step["state"] for key, step in self.results["steps"].items()}
        return self

    def of(self, state):
        return [key for key, found in self.states.items() if found == state]


MUST = [f"program:{name} stream 2" for name in apps.PROGRAMS]


def policy():
    prices = schedule.Prices()
    ok("a price is the guess, as long as nothing is known", prices.of("a", 7) == 7)
    prices.learn("a", 10, 30)
    ok("it follows what rows of its kind took", prices.of("a", 10) == 20 and prices.of("b", 10) == 10)
    clock = Clock()
    deadline = schedule.Deadline(100, clock)
    clock.now += 90
    ok("some of the time is left for writing", deadline.left() == 10 - schedule.RESERVE)


def order(folder):
    whole = Machine(folder, seconds=7200).run()
    keys = list(whole.states)
    last = max(i for i, key in enumerate(keys) if key.startswith(("experiment:", "shimmed:")))
    half = [keys.index(key) for key in MUST]
    rest = [i for i, key in enumerate(keys) if " split " in key or key.endswith((" 4", "1.25", "1.5"))]
    ok("with time enough everything is done", set(whole.states.values()) == {"done"}, whole.states)
    ok("in the largest size", whole.sized["llm-dense"] == {30} and not whole.results["reduced"])
    ok("experiments come first, then programs on half the memory, then the rest",
       last < min(half) and max(half) < min(rest), keys)


def nine_minutes(folder):
    for slow in (0.25, 1, 2, 4):
        run = Machine(folder, slow=slow).run()
        ok(f"programs that take {slow:g} times what is guessed end by the deadline", run.took <= 540,
           run.took)
        ok("and what is not done has no time", set(run.states.values()) <= {"done", "not run"} and
           all(run.results["steps"][key]["why"] == "time" for key in run.of("not run")), run.states)
        ok("nearly all of the time is used, or all is done", run.took > 450 or not run.of("not run"),
           run.took)
    run = Machine(folder).run()
    ok("as guessed, on a large card all programs are run on half the memory in nine minutes",
       all(run.states[key] == "done" for key in MUST), run.of("not run"))
    ok("the largest model is then smaller, and the results say so",
       run.sized["llm-dense"] == {16} and "instead of 30" in run.results["reduced"]["llm-dense"],
       (run.sized, run.results["reduced"]))
    ok("every program is compared with a run of the same size",
       all(len(sizes) == 1 for sizes in run.sized.values()), run.sized)
    text = "\n".join(tables.document(run.results, "plot.svg"))
    ok("the table names what was smaller and what was not run",
       "`llm-dense`: 16 GiB instead of 30" in text and "Not run, for want of time" in text and
       all(f"`{key}`" in text for key in run.of("not run")))
    ok("a small budget is one of the experiments' alone", not any(
        key.startswith("program") for key in Machine(folder, seconds=60).run().of("done")))
    none = Machine(folder, seconds=0).run()
    ok("without time everything is named, and nothing done", set(none.states.values()) == {"not run"} and
       len(none.states) > 100 and none.took == 0, none.took)


def what_goes_wrong(folder):
    run = Machine(folder, hangs=("jax", "decoder")).run()
    ok("a program that does not end is ended, and the deadline kept", run.took <= 540 and
       run.states["program:jax ample"] == "failed", run.took)
    ok("others are not held up by it", run.states["program:torch-eager stream 2"] == "done")
    ok("what would be compared with it is not asked for",
       not any(key.startswith("program:jax s") for key in run.states))
    run = Machine(folder, seconds=200, hangs=("decoder", "decoder-graph", "llm-dense")).run()
    ok("one that the deadline ended is not run rather than failed", run.took <= 200 and
       run.of("not run"), run.took)
    lacking = [name for name, row in apps.PROGRAMS.items() if row["file"].endswith(".py")]
    run = Machine(folder, lacks=lacking).run()
    ok("what is not installed is skipped, and takes no time from others",
       run.states["program:jax ample"] == "skipped" and not run.of("not run"), run.of("not run"))


def going_on(folder):
    first = Machine(folder, seconds=330).run()
    done = {key: first.results["steps"][key] for key in first.of("done")}
    again = Machine(folder, resume=os.path.join(folder, "large.json")).run()
    ok("a later call does what was left out", len(again.of("done")) > len(done), again.of("not run"))
    ok("nothing is done twice", all(again.results["steps"][key] == step for key, step in done.items()))
    begun = [name for name in again.sized if f"program:{name} ample" in done]
    ok("sizes stay those of the first call", begun and all(
        first.sized[name] == again.sized[name] for name in begun), (first.sized, again.sized))
    with open(os.path.join(folder, "large.json"), encoding="utf-8") as file:
        ok("results are written after every step", json.load(file)["steps"] == again.results["steps"])
    ok("and whole: nothing half written is left", not [name for name in os.listdir(folder)
                                                       if name.endswith(".new")])


class Growing:
    """Memory that is shown by and by, up to a most; what is held can be let go."""

    def __init__(self, most):
        self.most, self.shown, self.held, self.least = most, 8 * apps.GIB, 0, 8 * apps.GIB

    def look(self):
        self.least = min(self.least, self.shown - self.held)
        if self.shown - self.held < 6 * apps.GIB:
            self.shown = min(self.shown + 2 * apps.GIB, self.most)
        return self.shown, self.shown - self.held

    def use(self):
        self.held += place.PIECE * place.AT_ONCE
        return [self]

    def close(self):
        self.held -= place.PIECE * place.AT_ONCE


def memory():
    for most, wanted, shown in ((128, 100, 100), (8, 100, 8), (64, 100, 64), (128, 4, 8)):
        grows = Growing(most * apps.GIB)
        found = place.grow_memory(wanted * apps.GIB, grows.look, grows.use, lambda seconds: None)
        ok(f"memory of {most} GiB, asked to show {wanted}, shows {shown}", found == shown * apps.GIB, found)
        ok("and is never used up, nor kept", grows.least >= place.LEFT_FREE and grows.held == 0, grows.least)


with tempfile.TemporaryDirectory() as scratch:
    policy()
    memory()
    for number, part in enumerate((order, nine_minutes, what_goes_wrong, going_on)):
        folder = os.path.join(scratch, str(number))
        os.mkdir(folder)
        part(folder)
tap.finish()
