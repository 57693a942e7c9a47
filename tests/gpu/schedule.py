# SPDX-License-Identifier: MIT
"""What there is time for: rows in the order of what matters most, what each will take, and at which
of its sizes all that must be done fits.

Knows of no card and no program, and is told what the time is, so that a test can let it pass.
"""
import time

RESERVE = 4  # seconds before the deadline that are left for writing results
PRIOR = 10  # seconds: what guesses weigh beside what was measured
PATIENCE, LEAST = 4, 75  # a row may take so many times what it was to take, and so many seconds


class Deadline:
    """The time that is left of what there was when it was made."""

    def __init__(self, seconds, clock=time.monotonic):
        self.clock = clock
        self.until = clock() + seconds

    def left(self):
        return self.until - self.clock() - RESERVE


class Prices:
    """What rows take, in seconds: guesses, corrected by what others of their kind took."""

    def __init__(self):
        self.known = {}

    def of(self, kind, guess):
        guessed, took = self.known.get(kind, (0, 0))
        return guess * (took + PRIOR) / (guessed + PRIOR)

    def learn(self, kind, guess, took):
        guessed, so_far = self.known.get(kind, (0, 0))
        self.known[kind] = (guessed + guess, so_far + took)


class Row:
    """Something to do.

    kind    rows of one kind are guessed wrong alike
    must    sizes are chosen so that it fits
    guess   of a level: seconds; 0 where there is nothing to do, or nothing to do it with
    work    of a level and the most seconds it may take; true when it did all of it
    leave   says that there was no time for it
    """

    def __init__(self, kind, name, guess, work, leave, must=False):
        self.kind, self.name, self.guess, self.work, self.leave = kind, name, guess, work, leave
        self.must = must


class Schedule:
    """Does rows one after the other as long as there is time; level 0 is the largest size."""

    def __init__(self, rows, deadline, levels):
        self.rows = rows
        self.deadline = deadline
        self.levels = levels
        self.prices = Prices()

    def price(self, row, level):
        return self.prices.of(row.kind, row.guess(level))

    def level(self, number):
        """The largest size at which all that must be done, from this row on, fits; else the least."""
        for level in range(self.levels - 1):
            wanted = sum(self.price(row, level) for row in self.rows[number:] if row.must)
            if wanted <= self.deadline.left():
                return level
        return self.levels - 1

    def go(self):
        for number, row in enumerate(self.rows):
            level = self.level(number)
            guess, price = row.guess(level), self.price(row, level)
            left = self.deadline.left()
            if price > left or left <= 0:
                row.leave()
                continue
            begin = self.deadline.clock()
            if row.work(level, min(left, max(PATIENCE * price, LEAST))) and guess:
                self.prices.learn(row.kind, guess, self.deadline.clock() - begin)
