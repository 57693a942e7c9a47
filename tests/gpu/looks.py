# SPDX-License-Identifier: MIT
"""What the library foresees of a program's launches, held against what they do: each program runs
under libvramshim-look.so (look/look.h), on a model that need not be large."""
import json
import os

import apps

QUESTIONS = {
    "named": "of how many allocations do launches name something, and where in them? (T5)",
    "escapes": "does a redirected launch leave an address of a window in memory? (E3)",
    "touched": "do launches touch only what is foreseen? (E3)",
}
LARGEST = {"named": apps.GIB, "escapes": apps.GIB, "touched": apps.GIB // 4}
SMALL = "4KiB"  # what is smaller is the driver's, and not seen
FAULT, RUNS = 86, 16  # status of a program that was ended; how often it is run again
RATIO = 2


def size_of(program, card, what):
    return min(apps.size_of(program, card, apps.LEVELS - 1), LARGEST[what])


def read(path):
    """What the run said last."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.loads(file.read().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        raise apps.Failed("its launches were not looked at") from None


def share(part, whole):
    return f"{100 * part / whole:.0f} %"


def judge_named(found, program):
    ranges = {n: count for n, count in enumerate(found["ranges"]) if count}
    known = sum(ranges.values())
    if not found["words"]:
        return "measured", "no launch names paged memory"
    most = len(found["ranges"]) - 1
    by_ranges = ", ".join(f"{n}{' or more' if n == most else ''}: {share(count, known)}"
                          for n, count in ranges.items())
    by_place = ", ".join(f"{place} {share(count, found['words'])}"
                         for place, count in found["offsets"].items() if count)
    return "measured", (f"{found['launches']} launches, of {found['unknown']} the parameters are not "
                        f"known; of the others by allocations named: {by_ranges}; "
                        f"{found['words']} arguments: {by_place}")


def judge_escapes(found, program):
    if not found["searched"]:
        raise apps.Skipped("no launch was redirected")
    said = (f"{found['escaped_words']} words after {found['searched']} launches of {found['functions']} "
            f"functions, of {found['redirected']} redirected ones")
    return ("refuted" if found["guilty"] else "confirmed"), said + by_whom(found)


def judge_touched(found, program):
    if not found["asked"]:
        raise apps.Skipped("no launch could be asked")
    said = (f"{len(found['guilty'])} of {found['functions']} functions ({found['excused']} of "
            f"{found['launches']} launches) touch more; {found['asked']} launches asked, "
            f"{found['not_asked']} could not be, {found['chunks']} chunks taken away")
    if program.get("hides"):
        return "measured", said + by_whom(found) + "; it hides pointers on purpose"
    return ("refuted" if found["guilty"] else "confirmed"), said + by_whom(found)


def by_whom(found):
    return f": {', '.join(found['guilty'][:4])}" if found["guilty"] else ""


JUDGES = {"named": judge_named, "escapes": judge_escapes, "touched": judge_touched}


def run_once(place, words, what, path, seconds, budget=None):
    """Status, and what the program said of itself where it came to its end."""
    library = place.looking()
    if not library:
        raise apps.Skipped("libvramshim-look.so is not built")
    environment, _ = place.shimmed(budget, None if budget else "none", library)
    environment.update(LOOK_FOR=what, LOOK_FILE=path)
    if what == "touched":
        environment["VRAMSHIM_CHUNK"] = "2MiB"
    if not budget:
        environment["VRAMSHIM_SMALL"] = SMALL
    status, output, errors = apps.ended(words, environment, seconds)
    if status == 77:
        raise apps.Skipped(apps.last_line(errors))
    if status not in (0, FAULT):
        raise apps.Failed(f"status {status}: {apps.last_line(errors)}")
    try:
        return status, None if status else json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise apps.Failed(f"no figures: {apps.last_line(output)}") from None


def look(place, card, name, passes, what, deadline, sizes=None):
    """`sizes`: weights and other bytes of the model, of an earlier look at it."""
    program = apps.PROGRAMS[name]
    words = apps.command(place, program, size_of(program, card, what), passes)
    path = os.path.join(place.work, "look")
    budget = None
    if os.path.exists(path):
        os.remove(path)
    if what == "escapes":
        chunk = place.chunk()
        budget = -(-(sizes["weights"] / RATIO + sizes["other"]) // chunk) * chunk
    for _ in range(RUNS):
        status, said = run_once(place, words, what, path, deadline.left(), budget)
        if status == 0:
            break
    found = read(path)
    verdict, note = JUDGES[what](found, program)
    if status:
        verdict, note = "open", f"still finds more after {RUNS} runs; {note}"
    sizes = {key: said[key] for key in ("weights", "other")} if said else None
    return {"question": QUESTIONS[what], "verdict": verdict, "note": note, "found": found,
            "sizes": sizes}
