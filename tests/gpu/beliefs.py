# SPDX-License-Identifier: MIT
"""What a run says of each belief of docs/beliefs.md, by what that names as deciding it.

confirmed and refuted are for beliefs that experiments alone decide; where figures have to be judged,
they are given.
"""
import os
import re

import apps
import looks

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "beliefs.md")


def believed(path=FILE):
    """(belief, names that decide it), as the tables have them."""
    with open(path, encoding="utf-8") as file:
        rows = [line.split(" | ") for line in file if line.startswith("| ") and line.count(" | ") == 3]
    return [(row[0].removeprefix("| "), re.findall("`([a-z][a-z_-]*)`", row[2])) for row in rows
            if row[2] != "decided by"]


def verdict_of(step):
    if not step:
        return "not run"
    return step["verdict"] if step["state"] == "done" else step["state"]


class Answers:
    """What the steps of a run say, name by name: (verdict or "", text)."""

    def __init__(self, results):
        self.steps = results["steps"]
        self.runs = [step for step in self.steps.values()
                     if step["kind"] == "program" and "pass_seconds" in step]

    def of_shimmed(self, names):
        found = [verdict_of(self.steps.get(f"shimmed:{name}")) for name in names
                 if f"shimmed:{name}" in self.steps]
        worst = next((word for word in ("refuted", "open", "failed", "not run", "skipped", "measured")
                      if word in found), "confirmed") if found else "not run"
        return worst, f"under the library: {worst}"

    def of_looks(self, what):
        found = [step for step in self.steps.values() if step["kind"] == "look" and step["what"] == what]
        words = [verdict_of(step) for step in found]
        counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        decided = [word for word in words if word in ("confirmed", "refuted", "open")]
        verdict = next((word for word in ("refuted", "open") if word in decided),
                       "confirmed" if decided else "")
        return verdict, f"{what}: {counts or 'not run'}"

    def of_programs(self):
        compared = [step for step in self.runs if step["same"] is not None]
        wrong = [step["name"] for step in compared if step["same"] is False]
        bytes_moved = [step["bytes_over_least"] for step in self.runs if "bytes_over_least" in step]
        said = f"{len(compared) - len(wrong)} runs identical of {len(compared)}"
        if wrong:
            said += f", DIFFERENT: {', '.join(wrong)}"
        if bytes_moved:
            said += f"; bytes copied {min(bytes_moved):.2f} to {max(bytes_moved):.2f} of W - B"
        return "", said

    def of_program(self, name):
        times = [f"{step['time_over_limit']:.2f} at {step['ratio']:g}" for step in self.runs
                 if step["program"] == name and step["way"] == "stream" and "time_over_limit" in step]
        return "", f"{name}: {', '.join(times) or 'not run'}"

    def of_way(self, way):
        """How often the library took less time than what else was tried at the same memory."""
        streams = {(step["program"], step["ratio"]): step for step in self.runs if step["way"] == "stream"}
        pairs = [(streams[step["program"], step["ratio"]], step) for step in self.runs
                 if step["way"] == way and (step["program"], step["ratio"]) in streams]
        better = sum(ours["pass_seconds"] <= theirs["pass_seconds"] for ours, theirs in pairs)
        return "", f"{way}: {better} of {len(pairs)} no faster"

    def of_overhead(self):
        ratios = [ratio for step in self.steps.values() if step["kind"] == "overhead"
                  for ratio in step.get("ratios", [])]
        return "", f"overhead: {max(ratios):.3f} at the most" if ratios else "overhead: not run"

    def of(self, name, names):
        if name == "shimmed":
            return self.of_shimmed(names)
        if name in looks.QUESTIONS:
            return self.of_looks(name)
        if name == "program":
            return self.of_programs()
        if name == "overhead":
            return self.of_overhead()
        if name in ("split", "offload"):
            return self.of_way(name)
        if name in apps.PROGRAMS:
            return self.of_program(name)
        verdict = verdict_of(self.steps.get(f"experiment:{name}"))
        return verdict, f"{name}: {verdict}"


def judged(results, path=FILE):
    """(belief, state, what says so), a row each."""
    answers = Answers(results)
    for belief, names in believed(path):
        found = [answers.of(name, names) for name in names]
        verdicts = [verdict for verdict, _ in found]
        state = "open"
        if "refuted" in verdicts:
            state = "refuted"
        elif set(verdicts) == {"confirmed"}:
            state = "confirmed"
        yield belief, state, "; ".join(text for _, text in found)
