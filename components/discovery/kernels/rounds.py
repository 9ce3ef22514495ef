"""One round of the search for the most exogenous variable: which pairs to look at next, and what they told.

M_i = sum over j of min(0, D_ij)^2 only grows while pairs are added, so a variable whose partial sum has passed a
complete one cannot win. Variables are global indices; D, entropy and guess are [p, p], NaN where nothing is known yet.
"""

import numpy as np

from components.contracts import FloatArray
from components.discovery.constraints import BoolArray, Indices
from components.discovery.kernels.compiled import compiled

# A partial sum this much (relatively) above the best may differ from it by rounding alone; it is not given up.
ROUNDING = 1e-9


@compiled
def scores(D: FloatArray, left: Indices, candidates: Indices, partial: FloatArray, missing: Indices) -> float:
    """Fill in partial sums and numbers of missing partners of the candidates; the least complete sum, or infinity.

    Sums are taken anew in the order of the variables, so they do not depend on the order of evaluation.
    """
    best = np.inf
    for i in candidates:
        total, absent = 0.0, 0
        for j in left:
            if i != j:
                if np.isnan(D[i, j]):
                    absent += 1
                elif D[i, j] < 0.0:
                    total += D[i, j] * D[i, j]
        partial[i], missing[i] = total, absent
        if absent == 0 and total < best:
            best = total
    return best


@compiled
def propose(D: FloatArray, guess: FloatArray, left: Indices, candidates: Indices, most: int, pairs: Indices) -> int:
    """Write into ``pairs`` the pairs to look at next; their number, 0 when the winner is certain.

    As long as no variable is complete, the one of whom the guesses expect least is completed. Afterwards every one that
    may still win gets the partner that promises to rule it out; where that makes fewer than ``most`` pairs, the most
    promising variable gets more partners. ``most`` covering all pairs proposes all of them.
    """
    p = len(D)
    if 2 * most >= len(left) * (len(left) - 1):
        return propose_all(D, left, candidates, pairs)
    partial, missing = np.zeros(p), np.zeros(p, dtype=np.int64)
    best = scores(D, left, candidates, partial, missing)
    taken = np.zeros((p, p), dtype=np.bool_)
    if np.isinf(best):
        return propose_row(D, guess, left, likeliest(guess, left, candidates), p, taken, pairs, 0)
    bound = best * (1.0 + ROUNDING) + 1e-300
    count, first = 0, -1
    busy = np.zeros(p, dtype=np.bool_)
    for i in candidates:
        if missing[i] == 0 or partial[i] > bound:
            continue
        if first < 0 or partial[i] < partial[first]:
            first = i
        if not busy[i]:
            before = count
            count = propose_row(D, guess, left, i, 1, taken, pairs, count)
            if count > before:
                busy[pairs[before, 1]] = True
    if first >= 0 and count < most:
        count = propose_row(D, guess, left, first, most - count, taken, pairs, count)
    return count


@compiled
def propose_all(D: FloatArray, left: Indices, candidates: Indices, pairs: Indices) -> int:
    """Every unknown pair of a candidate."""
    candidate = np.zeros(len(D), dtype=np.bool_)
    for i in candidates:
        candidate[i] = True
    count = 0
    for i in left:
        for j in left:
            if i < j and (candidate[i] or candidate[j]) and np.isnan(D[i, j]):
                pairs[count, 0], pairs[count, 1] = i, j
                count += 1
    return count


@compiled
def propose_row(
    D: FloatArray,
    guess: FloatArray,
    left: Indices,
    i: int,
    most: int,
    taken: BoolArray,
    pairs: Indices,
    count: int,
) -> int:
    """Up to ``most`` unknown partners of ``i``, those expected to speak most against it first."""
    for _ in range(most):
        partner = -1
        for j in left:
            if i != j and np.isnan(D[i, j]) and not taken[i, j] and (partner < 0 or guess[i, j] < guess[i, partner]):
                partner = j
        if partner < 0:
            break
        taken[i, partner] = taken[partner, i] = True
        pairs[count, 0], pairs[count, 1] = i, partner
        count += 1
    return count


@compiled
def likeliest(guess: FloatArray, left: Indices, candidates: Indices) -> int:
    """The candidate of whom the guesses expect the least sum."""
    best, least = int(candidates[0]), np.inf
    for i in candidates:
        total = 0.0
        for j in left:
            if i != j and guess[i, j] < 0.0:
                total += guess[i, j] * guess[i, j]
        if total < least:
            best, least = int(i), total
    return best


@compiled
def absorb(
    pairs: Indices,
    count: int,
    found: FloatArray,
    H: FloatArray,
    lean: FloatArray,
    D: FloatArray,
    entropy: FloatArray,
) -> None:
    """Write what ``found`` [m, 2] tells of ``pairs`` into D and the residuals' entropies."""
    for place in range(count):
        i, j = pairs[place, 0], pairs[place, 1]
        entropy[i, j], entropy[j, i] = found[place, 0], found[place, 1]
        D[i, j] = (H[j] + entropy[i, j]) - (H[i] + entropy[j, i]) + lean[i, j]
        D[j, i] = -D[i, j]


@compiled
def winner(D: FloatArray, left: Indices, candidates: Indices) -> int:
    """The candidate with the least complete sum; the first of equals."""
    p = len(D)
    partial, missing = np.zeros(p), np.zeros(p, dtype=np.int64)
    best = scores(D, left, candidates, partial, missing)
    for i in candidates:
        if missing[i] == 0 and partial[i] == best:
            return int(i)
    return -1
