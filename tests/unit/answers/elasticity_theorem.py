"""Answers to the exercises of elasticity_theorem: right ones, and wrong ones with what must be explained."""

from answers import right

RIGHT = right("elasticity_theorem")
force, measured_k, three_sets, turning = RIGHT["force"], RIGHT["measured_k"], RIGHT["three_sets"], RIGHT["turning"]


def formula(components, sizes, aligned):
    return sizes[2] / (sizes[0] + sizes[1])


def slips(factor):
    """Right without common leaves, off by a factor with them."""
    return lambda c, n, a: turning(c, n, a) * (1 if len(c[0]) == 3 else factor)


WRONG = [
    ("other_change", lambda p, a, c: -c * p / a, "stiff spring"),
    ("other_change", lambda p, a, c: c * a / p, "sign"),
    ("other_change", lambda p, a, c: -c, "size times change"),
    ("other_change", lambda p, a, c: -c / (p + a), "same amount"),
    ("other_change", lambda p, a, c: -abs(c) * a / p, "must be a rise"),
    ("other_change", lambda p, a, c: -c / 100, "k = 3"),
    ("measured_k", lambda b, a: -measured_k(b, a), "one sign"),
    ("measured_k", lambda b, a: 1 / measured_k(b, a), "upside down"),
    ("measured_k", lambda b, a: a[1] / a[0], "You compare losses"),
    ("measured_k", lambda b, a: b[1] - a[1], "after less before"),
    ("measured_k", lambda b, a: measured_k(b, a) if a[1] > b[1] else 0.0, "quotient sees to it"),
    ("measured_k", lambda b, a: abs(measured_k(b, a)), "both losses rose"),
    ("measured_k", lambda b, a: measured_k(b, a) if a[0] < b[0] or a[1] < b[1] else -1.0, "same formula"),
    ("force", lambda x, s: x * sum(s), "side by side"),
    ("force", lambda x, s: x / sum(s), "sum of the sizes"),
    ("force", lambda x, s: x, "whole pull"),
    ("force", lambda x, s: 3 * x, "add up to the pull"),
    ("force", lambda x, s: force(x, s) ** 2, "linear"),
    ("force", lambda x, s: x / (1 / s[0] + 1 / max(s[1:])) if s[0] > 1 else x, "order of the springs"),
    ("force", lambda x, s: x / (1 / s[0] + 1 / s[1]), "wrong for three"),
    ("last_fall", lambda n1, n2, n3, a: n3 / (n1 + n2), "That is l"),
    ("last_fall", lambda n1, n2, n3, a: a * (n1 + n2) / n3, "upside down"),
    ("last_fall", lambda n1, n2, n3, a: a * n3 / (n1 + n2 + n3), "all of pre-training"),
    ("last_fall", lambda n1, n2, n3, a: a / 2, "slope"),
    ("last_fall", lambda n1, n2, n3, a: a / 9, "each of the four"),
    ("three_sets", lambda s, a, t: -s[1] * a / s[0], "leave out D_t"),
    ("three_sets", lambda s, a, t: -(s[1] * abs(a) + s[2] * abs(t)) / s[0], "sign of each"),
    ("three_sets", lambda s, a, t: -three_sets(s, a, t), "other side"),
    ("three_sets", lambda s, a, t: three_sets(s, a, t) * s[0], "One division"),
    ("three_sets", lambda s, a, t: -(a + t) / s[0], "summed over"),
    ("three_sets", lambda s, a, t: three_sets(s, a, t) if a else 0.0, "nothing changes on D_a"),
    ("three_sets", lambda s, a, t: three_sets((s[0], s[1], 5), a, t), "theorem's ratio"),
    ("three_sets", lambda s, a, t: round(three_sets(s, a, t), 2), "own size"),
    ("turning", formula, "separate leaves"),
    ("turning", lambda c, n, a: a * turning(c, n, a), "size of D_t"),
    ("turning", lambda c, n, a: 0.5, "case that you know"),
    ("turning", slips(1.5), "rises already"),
    ("turning", slips(0.5), "still falls"),
    ("turning", slips(-1), "lies between"),
]
