# SPDX-License-Identifier: LGPL-2.1-or-later
"""Medians, their spread, and what they say of a goal.

The spread is the distance between the quartiles. A figure says something of the number it is
compared with (its goal, or 1 for a comparison without one) only if it is further from it than its
spread; else it is "not measured".
"""
import statistics


def quartiles(values):
    values = sorted(values)
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def number(value):
    return "%.0f" % value if value >= 100 else "%#.3g" % value


class Table:
    """Prints each line when it is known."""

    WIDTH = 58

    def __init__(self):
        self.missed = 0
        self.titled = False

    def title(self, text):
        if not self.titled:
            print("%-*s %-12s %-28s %s" % (self.WIDTH, "what", "goal", "median (quartiles)",
                                           "verdict"))
            self.titled = True
        print("\n%s" % text, flush=True)

    def line(self, what, goal, measured, verdict, detail=""):
        self.missed += verdict == "MISSED"
        print("  %-*s %-12s %-28s %-12s %s" % (self.WIDTH - 2, what, goal, measured, verdict,
                                               detail), flush=True)

    def failed(self, name, why):
        print("  %s: not measured: %s" % (name, why), flush=True)

    def figure(self, what, values, goal=None, unit="", detail="", more_is_better=False):
        """The goal is the most there may be, or the least of what there should be more of."""
        low, middle, high = quartiles(values)
        mark = "x" if unit == "x" else " " + unit
        text = "%s%s (%s..%s)" % (number(middle), mark, number(low), number(high))
        against = 1 if goal is None else goal
        if goal is None and unit != "x":
            verdict = ""
        elif high - low > abs(middle - against):
            verdict = "not measured"
        elif goal is None:
            verdict = "%s times %s" % (number(middle if middle > 1 else 1 / middle),
                                       "faster" if (middle > 1) == more_is_better else "slower")
        else:
            verdict = "met" if (middle >= goal if more_is_better else middle <= goal) else "MISSED"
        sign = ">=" if more_is_better else "<="
        self.line(what, "" if goal is None else "%s %.3g%s" % (sign, goal, mark), text, verdict,
                  detail)

    def pairs(self, what, pairs, goal=None, names=("cnm", "floor")):
        """Pairs of times that were taken in turn, in ms: their ratios."""
        sides = list(zip(*pairs))
        detail = "%s %s ms, %s %s ms, %d pairs" % (
            names[0], number(statistics.median(sides[0])), names[1],
            number(statistics.median(sides[1])), len(pairs))
        self.figure(what, [a / b for a, b in pairs], goal, "x", detail)

    def rates(self, what, pairs, goal, names):
        """Pairs of how many a second that were taken in turn: their ratios."""
        sides = list(zip(*pairs))
        detail = "%s %s a second, %s %s, %d pairs" % (
            names[0], number(statistics.median(sides[0])), names[1],
            number(statistics.median(sides[1])), len(pairs))
        self.figure(what, [a / b for a, b in pairs], goal, "x", detail, more_is_better=True)

    def value(self, what, value, goal=None, unit="", detail=""):
        """One value without spread, such as a count or a sum."""
        mark = " " + unit if unit else ""
        verdict = "" if goal is None else "met" if value <= goal else "MISSED"
        shown = "%d" % value if isinstance(value, int) else number(value)
        self.line(what, "" if goal is None else "<= %g%s" % (goal, mark), shown + mark, verdict,
                  detail)
