# SPDX-License-Identifier: MIT
"""The results of tests/gpu/run as tables and a plot, from the raw figures alone."""
import html
import json
import math
import os
import sys

import beliefs

PANEL_WIDTH, PANEL_HEIGHT, MARGIN, TOP, COLUMNS = 250, 170, 40, 30, 3
LEAST, MOST = 0.8, 40.0
COLOURS = {"stream": "#1b6ca8", "split": "#5a8f29", "offload": "#c0392b"}
NOT_PAGED = "not paged: it maps its memory itself"
JUDGED = ("experiment", "shimmed", "look")  # kinds of steps that end with a verdict
WAYS = {"stream": "this library", "split": "a split that stays as it is", "offload": "accelerate"}


def one_line(step):
    if step["state"] != "done":
        return f"{step['state']}: {step['why']}"
    if step["kind"] in JUDGED:
        return f"{step['verdict']}: {step['note']}"
    if step["kind"] == "tool":
        return tool_line(step)
    if step["kind"] == "overhead":
        return f"{mean(step['ratios']):.4f} of the time without the library"
    if "time_over_limit" in step:
        return (f"{step['pass_seconds'] * 1e3:.3f} ms a pass, {step['time_over_limit']:.2f} of the "
                f"limit, {same_word(step['same'])}")
    if "pass_seconds" in step:
        return f"{step['pass_seconds'] * 1e3:.3f} ms a pass, {NOT_PAGED}, {same_word(step['same'])}"
    return f"{middle(step['passes']) * 1e3:.3f} ms a pass, W {step['weights'] / 1e9:.2f} GB"


def tool_line(step):
    if step["name"] == "doctor":
        return ", ".join(f"{step[what]} {what}" for what in ("passed", "warnings", "failed", "skipped"))
    return f"{len(step['points'])} figures, {step['left_out']} parts left out"


def mean(values):
    return sum(values) / len(values)


def middle(values):
    half = sorted(values[len(values) // 2:])
    return half[len(half) // 2]


def same_word(same):
    return {True: "identical", False: "DIFFERENT", None: "not compared"}[same]


def counts(results):
    """How many steps ended how; of experiments, by verdict."""
    found = dict.fromkeys(("done", "confirmed", "measured", "refuted", "open", "failed", "skipped",
                           "not run"), 0)
    for step in results["steps"].values():
        state = step["state"]
        if state == "done" and step["kind"] in JUDGED:
            state = step["verdict"]
        found[state] += 1
    return found


def row(*cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def head(*cells):
    return [row(*cells), "|" + "---|" * len(cells)]


def steps_of(results, *kinds):
    return [step for step in results["steps"].values() if step["kind"] in kinds]


def answer(step, name, unasked=""):
    if step["state"] == "done":
        return row(f"`{name}`", step["question"], step["verdict"], step["note"])
    return row(f"`{name}`", unasked, step["state"], step["why"])


def experiments(results):
    yield from head("experiment", "question", "verdict", "what was found")
    for step in steps_of(results, "experiment"):
        yield answer(step, step["name"])


def under_the_library(results):
    alone = {step["name"]: step for step in steps_of(results, "experiment")}
    yield from head("experiment", "figure", "alone", "under the library", "unit")
    for step in steps_of(results, "shimmed"):
        before = {f["name"]: f["value"] for f in alone.get(step["name"], {}).get("figures", [])}
        if step["state"] != "done":
            yield row(f"`{step['name']}`", step["state"], "", step["why"], "")
        for figure in step.get("figures", []):
            if figure["name"] in before:
                yield row(f"`{step['name']}`", figure["name"], number(before[figure["name"]]),
                          number(figure["value"]), figure["unit"])


def number(value):
    if value is None:
        return ""
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3e}"


def looked(results):
    yield from head("program", "question", "verdict", "what was found")
    for step in steps_of(results, "look"):
        yield answer(step, step["program"], step["what"])


def doctor(results):
    yield from head("check", "verdict", "what it says", "what to do")
    for step in steps_of(results, "tool"):
        if step["name"] == "doctor" and step["state"] == "done":
            for check in step["checks"]:
                yield row(f"`{check['id']}`", check["verdict"], check["says"], check["fix"] or "")
        elif step["name"] == "doctor":
            yield row("", step["state"], step["why"], "")


def profile(results):
    yield from head("what", "figure", "unit")
    for step in steps_of(results, "tool"):
        if step["name"] == "bench" and step["state"] == "done":
            for point in step["points"]:
                yield row(f"{point['group']}: {point['what']}", number(point["value"]), point["unit"])
        elif step["name"] == "bench":
            yield row(f"{step['state']}: {step['why']}", "", "")


def programs(results):
    yield from head("program", "W/B", "way", "pass", "over the limit", "bytes over W - B",
                    "passes to steady", "launches of what is away: redirected, in place", "output")
    for step in steps_of(results, "program"):
        name = f"`{step['program']}`"
        if step["state"] in ("skipped", "not run"):
            yield row(name, step.get("ratio", ""), step["way"], f"{step['state']}: {step['why']}", "", "", "",
                      "", "")
        elif step["state"] == "failed" and "pass_seconds" not in step:
            yield row(name, step.get("ratio", ""), step["way"], f"FAILED: {step['why']}", "", "", "", "", "")
        elif step["way"] == "ample":
            yield row(name, "", "ample", milliseconds(middle(step["passes"])), "", "", "", "", "")
        else:
            yield row(name, f"{step['ratio']:g}", WAYS[step["way"]], milliseconds(step["pass_seconds"]),
                      f"{step['time_over_limit']:.2f}" if "time_over_limit" in step else NOT_PAGED,
                      number(step.get("bytes_over_least")), step["passes_to_steady"], launches(step.get("counters")), same_word(step["same"]))


def launches(counters):
    if not counters:
        return ""
    return f"{counters.get('launches_redirected', 0)}, {counters.get('launches_in_place', 0)}"


def believed(results):
    yield from head("belief", "state", "what says so")
    for belief, state, says in beliefs.judged(results):
        yield row(belief, state, says)


def milliseconds(seconds):
    return f"{seconds * 1e3:.4g} ms"


def overhead(results):
    yield from head("program", "time with the library over time without, pair by pair", "mean")
    for step in steps_of(results, "overhead"):
        if step["state"] == "done":
            yield row(f"`{step['program']}`", ", ".join(f"{ratio:.4f}" for ratio in step["ratios"]),
                      f"{mean(step['ratios']):.4f}")
        else:
            yield row(f"`{step['program']}`", f"{step['state']}: {step['why']}", "")


def document(results, picture):
    card = results["card"]
    simulated = card["simulated"]
    yield f"# {'A simulated ' if simulated else ''}{card['name']}, {results['calls'][0]['begun'][:10]}"
    yield ""
    if simulated:
        yield "On the simulated driver, in virtual time. Nothing here was measured on a card."
        yield ""
    yield (f"{card['memory'] / 2 ** 30:.1f} GiB, compute capability {card['compute']:g}, driver for CUDA "
           f"{card['driver']:g}, kernel {card['kernel']}.")
    yield "Made by:"
    yield ""
    for call in results["calls"]:
        yield f"    {call['command']}    # {call['begun']}"
    yield ""
    tally = ", ".join(f"{n} {state}" for state, n in counts(results).items() if n)
    yield f"Steps: {tally}. All figures are in the JSON file beside this one."
    yield from left_out(results)
    parts = (("What the driver was asked", experiments),
             ("What it says of what is believed", believed),
             ("The same under the library", under_the_library),
             ("Programs on less memory", programs),
             ("When everything fits", overhead),
             ("What launches name, touch and leave behind", looked),
             ("`vramshim doctor`", doctor),
             ("`vramshim bench`: the profile, also in the file beside this one", profile))
    for title, part in parts:
        yield ""
        yield f"## {title}"
        yield ""
        if part is programs:
            yield from explained(picture)
        yield from part(results)


def left_out(results):
    """What the time did not allow, by name."""
    names = [f"`{step['kind']}:{step['name']}`" for step in results["steps"].values()
             if step["state"] == "not run"]
    smaller = [f"`{name}`: {how}" for name, how in results.get("reduced", {}).items()]
    packages = [f"{name} {version}" for name, version in (results.get("packages") or {}).items()]
    for title, parts in (("With", packages), ("Smaller, for want of time", smaller),
                         ("Not run, for want of time (`--resume` goes on with it)", names)):
        if parts:
            yield ""
            yield f"{title}: {', '.join(parts)}."


def explained(picture):
    yield ("W is what the program's model takes, B the memory it had for that. The limit of a pass is the "
           "longer of computing, by the run with ample memory, and copying W - B over the link that was "
           "measured in the same call. Bytes are those copied ahead of use, in a pass that did.")
    yield ""
    yield f"![time over the limit]({picture})"
    yield ""


def lines_of(results):
    """{program: {way: [(ratio, time over limit)]}}"""
    panels = {}
    for step in steps_of(results, "program"):
        if "time_over_limit" in step:
            lines = panels.setdefault(step["program"], {})
            lines.setdefault(step["way"], []).append((step["ratio"], step["time_over_limit"]))
    return panels


def x_of(ratio):
    return MARGIN + math.log(ratio) / math.log(4.4) * (PANEL_WIDTH - MARGIN - 10)


def y_of(time):
    time = min(max(time, LEAST), MOST)
    share = math.log(time / LEAST) / math.log(MOST / LEAST)
    return PANEL_HEIGHT - 26 - share * (PANEL_HEIGHT - 26 - TOP)


def text(x, y, words, size=10, anchor="start"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="#333">'
            f"{html.escape(words)}</text>")


def line(x1, y1, x2, y2, colour, width=1):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def panel(title, lines):
    yield text(MARGIN, TOP - 10, title, size=12)
    for time in (1, 2, 5, 10, 20, 40):
        yield line(MARGIN, y_of(time), PANEL_WIDTH - 10, y_of(time), "#ddd")
        yield text(MARGIN - 5, y_of(time) + 3, f"{time}", anchor="end")
    for ratio in (1.25, 1.5, 2, 4):
        yield text(x_of(ratio), PANEL_HEIGHT - 12, f"{ratio:g}", anchor="middle")
    for way, points in lines.items():
        places = [(x_of(ratio), y_of(time)) for ratio, time in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[way]}" stroke-width="2"/>'
        for x, y in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{COLOURS[way]}"/>'


def plot(results):
    panels = lines_of(results)
    width = COLUMNS * PANEL_WIDTH
    height = 50 + math.ceil(max(len(panels), 1) / COLUMNS) * PANEL_HEIGHT
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="sans-serif">')
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    yield text(MARGIN, 14, f"Time of a pass over the limit, by W/B: {results['card']['name']}"
               f"{', simulated' if results['card']['simulated'] else ''}", size=12)
    x = MARGIN
    for way, colour in COLOURS.items():
        yield line(x, 26, x + 18, 26, colour, 3)
        yield text(x + 22, 30, WAYS[way], size=11)
        x += 40 + 7 * len(WAYS[way])
    for i, (title, lines) in enumerate(sorted(panels.items())):
        yield f'<g transform="translate({i % COLUMNS * PANEL_WIDTH},{40 + i // COLUMNS * PANEL_HEIGHT})">'
        yield from panel(title, lines)
        yield "</g>"
    yield "</svg>"


def written(path, text):
    """Whole or not at all: a call may be ended while it writes."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def write(base, results):
    """BASE.json, BASE.md and BASE.svg."""
    written(f"{base}.json", json.dumps(results, indent=1) + "\n")
    written(f"{base}.md", "\n".join(document(results, f"{base.rpartition('/')[2]}.svg")) + "\n")
    written(f"{base}.svg", "\n".join(plot(results)) + "\n")


# The README

BEGIN, END = "<!-- measured: tests/gpu/run --readme -->\n", "<!-- end of measured -->\n"


def for_readme(results, link):
    """Of each program its furthest ratio of those that ran, and what else was tried at that one."""
    card = results["card"]
    date = results["calls"][0]["begun"][:10]
    where = f"On {'a simulated ' if card['simulated'] else ''}{card['name']}"
    yield (f"{where}, by `{results['calls'][0]['command']}`, {date}"
           f"{'; virtual time, which promises nothing about a card' if card['simulated'] else ''}. The "
           "time of a pass as a multiple of the limit, the longer of computing and copying W - B;")
    yield f"more in [{link}]({link}):"
    yield ""
    yield from head("program", "W", "W/B", "pass", "vramshim", "split that stays", "accelerate", "output")
    whole = {step["program"]: step["weights"] for step in steps_of(results, "program")
             if step["way"] == "ample" and step["state"] == "done"}
    tried = {(step["program"], step["ratio"], step["way"]): step for step in steps_of(results, "program")
             if "time_over_limit" in step}
    for (program, ratio, way), step in sorted(tried.items(), key=lambda item: item[0]):
        if way != "stream":
            continue
        others = [tried.get((program, ratio, other)) for other in ("split", "offload")]
        yield row(f"`{program}`", f"{whole[program] / 2 ** 30:.3g} GiB", f"{ratio:g}",
                  milliseconds(step["pass_seconds"]), f"{step['time_over_limit']:.2f}",
                  *(f"{other['time_over_limit']:.2f}" if other else "" for other in others),
                  same_word(step["same"]))
    fits = [mean(step["ratios"]) for step in steps_of(results, "overhead") if step["state"] == "done"]
    if fits:
        yield ""
        yield (f"With everything on the card, programs take {min(fits):.3f} to {max(fits):.3f} of the time "
               "they take without the library.")


def write_readme(readme, path, results):
    """Puts the table where the README has its marks; the program's status."""
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"run: {readme} has no line {BEGIN.strip()} and after it {END.strip()}")
    link = os.path.relpath(path.removesuffix(".json") + ".md", os.path.dirname(os.path.abspath(readme)))
    written(readme, before + begin + "\n".join(for_readme(results, link)) + "\n" + end + after)
    return 0
