"""Checks of the chapter: The elasticity theorem."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers import token_tree
from helpers.exercises.checking import NotYet, call, close, exercise


@exercise("elasticity_theorem.other_change")
def _other_change(function: Any) -> str:
    change = call(function, 1000, 10, 1.0)  # -0.01
    if close(change, -100):
        raise NotYet("Here the large data set would change the most. The stiff spring gives way the least.")
    if close(change, 0.01) or close(change, 100):
        raise NotYet("The sign: where one of the two rates rises, the other one falls.")
    if close(change, -1):
        raise NotYet("Equal and opposite are size times change, not the changes themselves.")
    if abs(change + 0.01) > 1e-6:
        raise NotYet("With 1000 and 10, size times change must have the same amount for both, with opposite signs.")
    if abs(call(function, 1000, 10, -0.5) - 0.005) > 1e-6:
        raise NotYet("For a fall of the alignment rate the answer must be a rise: the relation is linear.")
    if abs(call(function, 300, 100, 0.3) + 0.1) > 1e-6:
        raise NotYet("It is right for k = 100 and wrong for k = 3. Both sizes are needed.")
    return (
        "At a joint optimum the change on the large set is k times smaller and has the other sign, to first order. For "
        "k = 1000 it is a thousand times smaller than the change that everybody notices."
    )


@exercise("elasticity_theorem.measured_k")
def _measured_k(function: Any) -> str:
    k = call(function, (2.0, 1.0), (1.999, 1.05))  # 50
    if close(k, -50):
        raise NotYet("The theorem's ratio is -k, and a k is positive: one sign is missing.")
    if close(k, 1 / 50) or close(k, -1 / 50):
        raise NotYet("It is upside down: the small data set's loss, the alignment's, changes k times as much.")
    if close(k, 1.05 / 1.999) or close(k, 1.05):
        raise NotYet("You compare losses. The theorem speaks of their *changes*, after less before.")
    if abs(k - 50) > 1e-6:
        raise NotYet("Take both changes, after less before, and divide the alignment's by the other one.")
    k = call(function, (3.0, 2.0), (3.1, 1.0), about="Here the alignment loss fell and the other one rose.")
    if abs(k - 10) > 1e-6:
        raise NotYet("If the alignment loss falls and the other rises, k is positive too: the quotient sees to it.")
    k = call(function, (2.0, 1.0), (2.01, 1.05), about="Here both losses rose.")
    if k > 0:
        raise NotYet(
            "In one table both losses rose. No pair of sizes at a joint optimum gives that; do not hide it behind an "
            "absolute value."
        )
    if abs(k + 5) > 1e-6:
        raise NotYet("Where both losses rise the quotient has the other sign, and the same formula.")
    return (
        "A negative result is a finding: no joint optimum, or a step too large for first order. The next chapter "
        "measures this number in a model that was trained on one data set after the other."
    )


@exercise("elasticity_theorem.force")
def _force(function: Any) -> str:
    force = call(function, 1.1, [10, 1])  # 1
    if close(force, 1.1 * 11) or close(force, 1.1 * 5.5):
        raise NotYet("That is how springs side by side add up. In series the *extensions* add up, under one force.")
    if close(force, 1.1 / 11):
        raise NotYet("You divide the pull by the sum of the sizes. Each spring gives force / size; sum these.")
    if close(force, 1.1):
        raise NotYet("That would be the force if one spring of size 1 took the whole pull; the other gives a little.")
    if not close(force, 1):
        raise NotYet("The extensions, force / size each, must add up to the pull: here 1.1, with the sizes 10 and 1.")
    if not close(call(function, 2.2, [10, 1]), 2):
        raise NotYet("Hooke's law is linear: twice the pull, twice the force.")
    if not close(call(function, 1.1, [1, 10]), 1):
        raise NotYet("The order of the springs must not matter.")
    if not close(call(function, 3.5, [1, 1, 2]), 1.4):
        raise NotYet("It is right for two springs and wrong for three: sum over all sizes.")
    return (
        "The soft spring decides: with 10 and 1 it takes ten elevenths of the pull. However stiff the large data set "
        "becomes, the force is never more than the small one alone would give."
    )


@exercise("elasticity_theorem.last_fall")
def _last_fall(function: Any) -> str:
    size = call(function, 8, 1, 1, 90)  # 10
    if close(size, 1 / 9):
        raise NotYet("That is l, a number of times |D_a|. The question is for the size of D_t.")
    if close(size, 90 * 9):
        raise NotYet("It is upside down: the more of D_3 pre-training holds already, the longer more of it helps.")
    if close(size, 90 / 10):
        raise NotYet("You divide by all of pre-training. What counts against n_3 is the rest, n_1 + n_2.")
    if not close(size, 10):
        raise NotYet("Set the slope of the pre-training rate to zero and solve for the size of D_t.")
    if not (close(call(function, 1, 1, 1, 90), 45) and close(call(function, 2, 6, 4, 10), 5)):
        raise NotYet("It is right for 8, 1, 1 and wrong for other sizes: each of the four must enter.")
    return (
        "It grows with |D_a|: the farther alignment has pulled the mixture away from D_3, the more of it pre-training "
        "can take back. Yet in units of |D_a| the point stays where it is."
    )


@exercise("elasticity_theorem.three_sets")
def _three_sets(function: Any) -> str:
    sizes, about = (100, 10, 5), "The sizes are those of D_p, D_a and D_t."
    change = call(function, sizes, 1.0, -0.4, about=about)  # -0.08
    if close(change, -0.1):
        raise NotYet("You leave out D_t. Now the model is the best one for three data sets, and all three pull.")
    if close(change, -0.12):
        raise NotYet("Keep the sign of each change: the rate on D_t falls here, and its force points the other way.")
    if close(change, 0.08):
        raise NotYet("The sign: all three sizes times changes add up to zero, so one goes to the other side.")
    if close(change, -8):
        raise NotYet("That is the force on D_p, its size times its change. One division is missing.")
    if abs(change + 0.08) > 1e-6:
        raise NotYet("Size times change, summed over D_p, D_a and D_t, is zero to first order. Solve for D_p's change.")
    if abs(call(function, (100, 10, 5), 0.0, -1.0) - 0.05) > 1e-6:
        raise NotYet("Even if nothing changes on D_a, a change on D_t must be balanced by D_p.")
    if abs(call(function, (100, 10, 0), 1.0, -3.0) + 0.1) > 1e-6:
        raise NotYet("Without any D_t, its rate does not count, and the theorem's ratio must come back.")
    model = token_tree.JointModel(np.eye(3), (30, 40, 30), 10, perturbed=5)
    on_pretraining, on_alignment = model.slopes
    on_perturbation = -(100 * on_pretraining + 10 * on_alignment) / 5
    if abs(call(function, sizes, on_alignment, on_perturbation) - on_pretraining) > 1e-9:
        raise NotYet("With the exact slopes of a mixture it does not balance. Is each change times its own size?")
    return (
        "So once D_t has a size, the ratio of the other two is no longer -k: D_t pulls too. The theorem's -k is the "
        "moment before the perturbation, l = 0."
    )


@exercise("elasticity_theorem.turning")
def _turning(function: Any) -> str:
    plain = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]
    found = call(function, plain, (8, 1, 1), 10.0)
    if close(found, 10 / 9):
        raise NotYet("That is a size of D_t. Divide by `aligned` for l.")
    if not close(found, 1 / 9):
        raise NotYet("Start with the case that you know: without common leaves it must be n_3 / (n_1 + n_2), here 1/9.")
    masses = np.random.default_rng(0).dirichlet(np.ones(40), 3)
    for share, sizes, aligned in ((0.5, (1, 1, 1), 0.3), (0.25, (2, 1, 1), 0.1), (0.1, (1, 1, 8), 0.5)):
        components = token_tree.share_leaves(masses, share)
        model = token_tree.JointModel(components, sizes, aligned)
        about = f"Each data set shares {share:.0%} of its leaves with the next; the sizes are {sizes}."
        found = call(function, components, sizes, aligned, about=about)
        if close(found, sizes[2] / (sizes[0] + sizes[1])):
            raise NotYet(f"{about} There the formula for separate leaves does not hold: look at the slope itself.")
        if not 0 < found < 1e6:
            raise NotYet(f"{about} The rate falls at first and rises in the end, so the point lies between.")
        before, after = (model.at(found * x).slopes[0] for x in (0.99, 1.01))
        if before >= 0:
            raise NotYet(f"{about} Just below your l the rate rises already.")
        if after <= 0:
            raise NotYet(f"{about} Just above your l the rate still falls.")
    return (
        "There is one such point at most, whatever the leaves: the rate is a convex function of the perturbation's "
        "share of all data, so that it cannot fall again once it has risen."
    )
