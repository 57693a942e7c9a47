# SPDX-License-Identifier: MIT
"""The steps of tests/gpu/run, in the order of what matters most: each is a row of the schedule, and
what it found is kept and written down as soon as it has ended."""
import datetime
import json
import os
import re
import subprocess
import sys
import time

import apps
import looks
import schedule
import tables

FIRST = 8  # programs that come before what the library costs when everything fits
SHIMMED = ("lookup", "launch", "frees")
OUT_OF_TIME = {"state": "not run", "why": "time"}


class Alone(Exception):
    """There is nothing to compare it with: the run with ample memory tells why."""


class Run:
    """What each step has found, and how each is done."""

    def __init__(self, options, place, deadline):
        self.options = options
        self.place = place
        self.deadline = deadline
        self.results = {"steps": {}}
        if options.resume and os.path.exists(options.resume):
            with open(options.resume, encoding="utf-8") as file:
                self.results = json.load(file)
        self.results.setdefault("reduced", {})
        self.results.setdefault("calls", []).append({
            "begun": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "command": " ".join(["tests/gpu/run", *sys.argv[1:]]), "seconds": options.seconds})
        self.base = None
        self.fresh = set()  # programs whose run with ample memory is of this call

    # Steps

    def wants(self, kind, name):
        """By its kind, its first word, or all of its name."""
        said = (kind, name, name.split(" ")[0], f"{kind}:{name}", f"{kind}:{name.split(' ')[0]}")
        return not self.options.only or any(part in said for part in self.options.only.split(","))

    def known(self, kind, name):
        return self.results["steps"].get(f"{kind}:{name}")

    def row(self, kind, name, guess, work, asked=True, must=False, like=None, **what):
        """One that others need is done whether or not it was asked for; none is done twice."""
        known = self.known(kind, name)
        if asked and not self.wants(kind, name):
            return []
        if known and known["state"] != OUT_OF_TIME["state"]:
            return []
        step = {"kind": kind, "name": name, **what}
        return [schedule.Row(like or kind, name, guess,
                             lambda level, seconds: self.do(step, work, level, seconds),
                             lambda: self.leave(step), must)]

    def do(self, step, work, level, seconds):
        """Does it; says and keeps how it went. True when it came to its end."""
        begin = self.deadline.clock()
        try:
            found = {"state": "done", **work(level, seconds)}
        except Alone:
            self.leave(step)
            return False
        except apps.Skipped as skipped:
            found = {"state": "skipped", "why": str(skipped)}
        except apps.Failed as failed:
            found = {"state": "failed", "why": str(failed)}
            if self.deadline.left() < 1:
                found = OUT_OF_TIME
        self.end(step, found, self.deadline.clock() - begin)
        return found["state"] == "done"

    def leave(self, step):
        """There is no time for it; where it could not have been done anyway, that says nothing."""
        alone = self.known("program", f"{step.get('program')} ample")
        if not alone or alone["state"] in ("done", OUT_OF_TIME["state"]):
            self.end(step, OUT_OF_TIME, 0)

    def end(self, step, found, took):
        step = {**step, **found, "took": round(took, 3)}
        self.results["steps"][f"{step['kind']}:{step['name']}"] = step
        print(f"{step['took']:7.1f} s  {step['kind']:11} {step['name']:24} {tables.one_line(step)}",
              flush=True)
        if took:
            self.write()

    def reduce(self, name, text):
        self.results["reduced"][name] = text

    def write(self):
        if self.base:
            tables.write(self.base, self.results)

    # What the driver is asked

    def ask(self, name, environment, seconds):
        words = [self.place.binary("experiments"), "--json", "--only", name,
                 "--seconds", str(max(int(seconds), 1))]
        if self.options.faults:
            words.append("--faults")
        _, output, errors = apps.ended(words, environment, seconds + 2)
        try:
            return json.loads(output)[0]
        except (ValueError, IndexError):
            raise apps.Failed(f"no answer: {apps.last_line(errors)}") from None

    def experiment(self, name, environment, seconds):
        row = self.ask(name, environment, seconds)
        if row["verdict"] == "skipped":
            raise apps.Skipped(row["note"])
        return row

    def experiments(self):
        """One that is given no more than its own time ends by itself, with what it has found so far."""
        listed = subprocess.run([self.place.binary("experiments"), "--list"], text=True,
                                capture_output=True, check=True).stdout
        given = {line.split()[0]: int(line.split()[1]) for line in listed.splitlines()}

        def rows(kind, name, environment):
            share = 0.3 if self.card()["simulated"] else max(given[name] / 8, 2)
            return self.row(kind, name, lambda level: share,
                            lambda level, seconds: self.experiment(name, environment(), seconds),
                            asked=name != "link" or not self.asks_programs(), must=True,
                            like="experiment")
        for name in given:
            yield from rows("experiment", name, self.place.environment)
        for name in SHIMMED:
            yield from rows("shimmed", name, lambda: self.place.shimmed()[0])

    def figure(self, experiment, name):
        for figure in (self.known("experiment", experiment) or {}).get("figures", []):
            if figure["name"] == name:
                return figure["value"]
        return None

    def link(self):
        """Bytes a second to the card, measured in this call; 0 when that failed, which is a step."""
        return 1e9 * (self.figure("link", "host-located: to the card") or
                      self.figure("link", "pinned: to the card") or 0)

    # The project's own tools

    def tool(self, name, *words, seconds):
        """What `vramshim NAME --json` says."""
        program = self.place.tool()
        if not program:
            raise apps.Skipped("vramshim is not built")
        status, output, errors = apps.ended([program, name, "--json", *words],
                                            self.place.environment(), seconds)
        try:
            return json.loads(output)
        except ValueError:
            raise apps.Failed(f"status {status}: {apps.last_line(errors)}") from None

    def doctor(self):
        guess = 0.5 if self.card()["simulated"] else 8
        return self.row("tool", "doctor", lambda level: guess,
                        lambda level, seconds: self.tool("doctor", seconds=seconds), must=True)

    def profile(self):
        """Measures the machine for the planner, the library and the simulated card, into a file beside
        the results."""
        longest = (25, 20, 15)
        path = f"{self.base}.profile"

        def work(level, seconds):
            how = ("--bytes", "2MiB", "--seconds", "10") if self.card()["simulated"] \
                else ("--seconds", str(longest[level]))
            found = self.tool("bench", *how, "--output", path, seconds=seconds)
            self.place.profile = path
            return found
        if os.path.exists(path) and (self.known("tool", "bench") or {}).get("state") == "done":
            self.place.profile = path
        return self.row("tool", "bench", lambda level: 2 if self.card()["simulated"] else longest[level],
                        work, must=True)

    # Programs

    def card(self):
        return self.results["card"]

    def passes(self, name):
        return 8 if self.card()["simulated"] else apps.PROGRAMS[name]["passes"]

    def asks_programs(self):
        """Whether any may be compared with a limit, for which the link must be known."""
        return any(part.split(":")[-1].split(" ")[0] in ("program", *apps.PROGRAMS)
                   for part in (self.options.only or "program").split(","))

    def reference(self, name):
        """The run on the whole card, without the library; None when there is none."""
        known = self.known("program", f"{name} ample")
        return known if known and known["state"] == "done" else None

    def ample(self, name, must):
        program = apps.PROGRAMS[name]

        def work(level, seconds):
            size, largest = (apps.size_of(program, self.card(), which) for which in (level, 0))
            words = apps.command(self.place, program, size, self.passes(name))
            run, took = apps.start(words, self.place.environment(), seconds)
            self.fresh.add(name)
            if size < largest:
                self.reduce(name, f"{size / apps.GIB:.3g} GiB instead of {largest / apps.GIB:.3g}")
            return {**run, "seconds": took, "size": size}
        return self.row("program", f"{name} ample",
                        lambda level: apps.guess_ample(program, self.card(), level), work, asked=False,
                        must=must, like=program["file"], program=name, way="ample")

    def guess(self, name, ratio, times=1):
        """Seconds of a run on less memory; of none when there is nothing to compare it with."""
        program = apps.PROGRAMS[name]

        def of(level):
            known = self.known("program", f"{name} ample")
            if self.card()["simulated"]:
                return 1
            if known and known["state"] != "done":
                return 0
            link = self.link() or apps.LINK
            if known:
                return times * apps.guess_less(known["weights"], known["seconds"], ratio,
                                               len(known["passes"]), apps.steady(known["passes"]), link)
            size = apps.size_of(program, self.card(), level)
            return times * apps.guess_less(size, apps.guess_ample(program, self.card(), level), ratio,
                                           program["passes"], size / apps.READING, link)
        return of

    def beside(self, name, work):
        """`work`, where there is a run with ample memory to compare with."""
        def checked(level, seconds):
            reference = self.reference(name)
            if not reference:
                raise Alone()
            return work(reference, level, seconds)
        return checked

    def on_less(self, name, ratio, engine=None, must=False):
        program = apps.PROGRAMS[name]
        way = {None: "stream", "none": "split"}[engine]

        def work(reference, level, seconds):
            if not self.link():
                raise apps.Skipped("the link was not measured")
            budget = reference["weights"] / ratio + reference["other"]
            chunk = self.place.chunk()
            environment, log = self.place.shimmed(-(-budget // chunk) * chunk, engine)
            words = apps.command(self.place, program, reference["size"], self.passes(name))
            run, took = apps.start(words, environment, seconds)
            moved = apps.counters(log)
            found = apps.figures(reference, run, ratio, self.link(), moved)
            if found["same"] is False:
                found["state"] = "failed"
                found["why"] = "its output is not that of the run with ample memory"
            return {**run, **found, "counters": moved, "seconds": took, "budget": budget}
        return self.row("program", f"{name} {way} {ratio:g}", self.guess(name, ratio),
                        self.beside(name, work), must=must, like=f"{program['file']} on less",
                        program=name, way=way, ratio=ratio)

    def alternative(self, name, ratio):
        """The program's own way of doing with less: accelerate's offload to the host."""
        program = apps.PROGRAMS[name]

        def work(reference, level, seconds):
            if not self.link():
                raise apps.Skipped("the link was not measured")
            words = apps.command(self.place, program, reference["size"], self.passes(name),
                                 ("--offload", str(int(reference["weights"] / ratio))))
            run, took = apps.start(words, self.place.environment(), seconds)
            return {**run, **apps.figures(reference, run, ratio, self.link(), {}), "seconds": took}
        return self.row("program", f"{name} offload {ratio:g}", self.guess(name, ratio, 2),
                        self.beside(name, work), like="offload", program=name, way="offload",
                        ratio=ratio)

    def paired(self, name, must=False):
        """With the library and without, in turns, everything on the card."""
        program = apps.PROGRAMS[name]

        def pairs(level):
            return self.options.pairs if level == 0 else 1

        def guess(level):
            runs = 2 * pairs(level) - (name in self.fresh)
            return runs * self.guess(name, 1)(level)

        def work(reference, level, seconds):
            ratios = []
            until = time.monotonic() + seconds
            words = apps.command(self.place, program, reference["size"], self.passes(name))
            alone = reference if name in self.fresh else None
            if pairs(level) < self.options.pairs:
                self.reduce(f"overhead of {name}", f"{pairs(level)} pair of runs instead of "
                            f"{self.options.pairs}")
            for _ in range(pairs(level)):
                if not alone:
                    alone, _ = apps.start(words, self.place.environment(), until - time.monotonic())
                environment, log = self.place.shimmed()
                beside, _ = apps.start(words, environment, until - time.monotonic())
                ratios.append(apps.steady(beside["passes"]) / apps.steady(alone["passes"]))
                if apps.same(alone, beside) is False:
                    raise apps.Failed("its output is not that of the run without the library")
                alone = None
            return {"ratios": ratios, "counters": apps.counters(log)}
        return self.row("overhead", name, guess, self.beside(name, work), must=must,
                        like=f"{program['file']} in pairs", program=name)

    def programs(self):
        """With the least that tells most first; what one is compared with comes before it."""
        ratios = self.options.ratios
        first = 2 if 2 in ratios else ratios[0]
        begun = set()

        def rows(names, make, must=False):
            for name in names:
                made = make(name)
                if made and name not in begun:
                    begun.add(name)
                    yield from self.ample(name, must)
                yield from made
        names = list(apps.PROGRAMS)
        paired = [name for name in names if apps.PROGRAMS[name].get("paired")]
        yield from rows(names[:FIRST], lambda name: self.on_less(name, first, must=True), True)
        yield from rows(paired, lambda name: self.paired(name, must=True), True)
        yield from rows(names[FIRST:], lambda name: self.on_less(name, first, must=True), True)
        for name in names:
            yield from rows([name], lambda name: self.on_less(name, first, "none"))
            if apps.PROGRAMS[name].get("alternatives"):
                yield from rows([name], lambda name: self.alternative(name, first))
        for ratio in ratios:
            if ratio != first:
                yield from rows(names, lambda name, ratio=ratio: self.on_less(name, ratio))

    # What is foreseen of launches

    def look(self, what, name):
        program = apps.PROGRAMS[name]

        def guess(level):
            return 1 if self.card()["simulated"] else program["starts"] + 3

        def work(level, seconds):
            known = self.known("look", f"named {name}") or {}
            if what == "touched" and not self.card()["simulated"] and not self.options.faults:
                raise apps.Skipped("what is touched unforeseen breaks the context; --faults asks")
            if what == "escapes" and not known.get("sizes"):
                raise apps.Skipped(known.get("why", "how much memory it takes is not known"))
            deadline = schedule.Deadline(seconds + schedule.RESERVE, self.deadline.clock)
            return looks.look(self.place, self.card(), name, self.passes(name), what, deadline,
                              known.get("sizes"))
        # An escape is looked for on half the memory that was found to be needed.
        asked = what != "named" or not self.wants("look", f"escapes {name}")
        return self.row("look", f"{what} {name}", guess, work, asked=asked,
                        like=f"look at {program['file']}", program=name, what=what)

    def looks(self):
        for what in looks.QUESTIONS:
            for name in list(apps.PROGRAMS)[:FIRST]:
                yield from self.look(what, name)

    # All of it

    def rows(self):
        return [*self.doctor(), *self.experiments(), *self.profile(), *self.programs(), *self.looks()]

    def go(self):
        schedule.Schedule(self.rows(), self.deadline, apps.LEVELS).go()
        self.write()

    def describe_card(self, host):
        row = self.ask("card", self.place.environment(), max(self.deadline.left(), 10))
        if row["verdict"] == "skipped":
            raise apps.Skipped(row["note"])
        values = {figure["name"]: figure["value"] for figure in row["figures"]}
        card = {"name": row["note"], "memory": values.get(row["note"], 0),
                "simulated": bool(values["simulated"]), "compute": values["compute"],
                "driver": values["driver"], "kernel": os.uname().release}
        known = self.results.setdefault("card", card)
        if known["name"] != card["name"]:
            sys.exit(f"run: {self.options.resume} is of a {known['name']}, this is a {card['name']}")
        known["host"] = host

    def name_results(self, folder):
        date = self.results["calls"][0]["begun"][:10]
        slug = re.sub(r"[^a-z0-9]+", "-", self.card()["name"].lower().replace("nvidia", "")).strip("-")
        os.makedirs(folder, exist_ok=True)
        self.base = os.path.join(folder, ("simulated-" if self.card()["simulated"] else "") +
                                 f"{slug}-{date}")

