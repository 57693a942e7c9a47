#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws time over roofline against W/B, a panel for each program and form and a line for each policy.

    bench --json --profile NAME | plot.py > docs/bench-NAME.svg
"""
import html
import json
import math
import sys

PANEL_WIDTH, PANEL_HEIGHT, MARGIN, COLUMNS = 250, 190, 46, 3
TOP, LEGEND = 34, 26
LEAST, MOST = 0.15, 45.0
COLOURS = {
    "engine": "#1b6ca8",
    "lru": "#b5651d",
    "first-n": "#5a8f29",
    "in-place": "#8e44ad",
    "uvm-model": "#c0392b",
    "belady": "#7f8c8d",
}


def lines_of(rows):
    """{(program, form): {policy: [(w_over_b, time), ...]}}, in the order of the rows."""
    panels = {}
    for row in rows:
        if row["figure"] != "time_over_roofline" or row["policy"] not in COLOURS:
            continue
        lines = panels.setdefault((row["program"], row["form"]), {})
        lines.setdefault(row["policy"], []).append((row["w_over_b"], row["value"]))
    return panels


def x_of(ratio):
    return MARGIN + math.log(ratio) / math.log(4.4) * (PANEL_WIDTH - MARGIN - 10)


def y_of(time):
    time = min(max(time, LEAST), MOST)
    share = math.log(time / LEAST) / math.log(MOST / LEAST)
    return PANEL_HEIGHT - 30 - share * (PANEL_HEIGHT - 30 - TOP)


def text(x, y, words, size=10, anchor="start", colour="#333"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{colour}">{html.escape(words)}</text>')


def line(x1, y1, x2, y2, colour, width=1):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def grid():
    for time in (0.2, 0.5, 1, 2, 5, 10, 20, 40):
        yield line(MARGIN, y_of(time), PANEL_WIDTH - 10, y_of(time), "#ddd")
        yield text(MARGIN - 5, y_of(time) + 3, f"{time}", anchor="end")
    for ratio in (1.1, 1.5, 2, 4):
        yield text(x_of(ratio), PANEL_HEIGHT - 15, f"{ratio:g}", anchor="middle")


def panel(title, lines):
    yield text(MARGIN, TOP - 12, title, size=12)
    yield from grid()
    for policy, points in lines.items():
        colour = COLOURS[policy]
        places = [(x_of(ratio), y_of(time)) for ratio, time in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'


def legend(policies, y):
    x = MARGIN
    for policy in policies:
        yield line(x, y - 4, x + 18, y - 4, COLOURS[policy], 3)
        yield text(x + 22, y, policy, size=11)
        x += 40 + 7 * len(policy)


def main():
    rows = json.load(sys.stdin)
    panels = lines_of(rows)
    policies = [p for p in COLOURS if any(p in lines for lines in panels.values())]
    height = math.ceil(len(panels) / COLUMNS) * PANEL_HEIGHT + LEGEND + 20
    width = COLUMNS * PANEL_WIDTH
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
          f'viewBox="0 0 {width} {height}" font-family="sans-serif">')
    print(f'<rect width="{width}" height="{height}" fill="white"/>')
    print(text(MARGIN, 14, f"Time of a pass over the physical limit, by W/B ({rows[0]['profile']})",
               size=12))
    print("\n".join(legend(policies, LEGEND + 4)))
    for i, ((program, form), lines) in enumerate(panels.items()):
        x, y = i % COLUMNS * PANEL_WIDTH, LEGEND + i // COLUMNS * PANEL_HEIGHT
        print(f'<g transform="translate({x},{y})">')
        print("\n".join(panel(f"{program}, {form}", lines)))
        print("</g>")
    print("</svg>")


if __name__ == "__main__":
    main()
