"""How much Co-teaching on pair noise depends on chance, and on how soon the choice of rows sets in."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from components.classifier import ClassifierTraining
from components.classifier.methods.co_teaching import CoTeaching
from components.weak import NoisyLabels
from tests.benchmarks.weak_gates import one_thread
from tests.benchmarks.weak_mnist import accuracy
from tests.benchmarks.weak_trials import PAIR, UNTOLD, Trial

WAYS = {
    "noise rate told, choice within 3 epochs": CoTeaching(noise_rate=0.45, gradual_epochs=3),
    "noise rate told, choice within 6 epochs": CoTeaching(noise_rate=0.45, gradual_epochs=6),
    "noise rate estimated": CoTeaching(),
}


def seeds(count: int = 8) -> None:
    """Prints the accuracy of ``count`` seeds each way."""
    trials = [
        Trial("pair 45 %", name, NoisyLabels(PAIR), training, "accuracy", accuracy)
        for name, method in WAYS.items()
        for training in [ClassifierTraining(UNTOLD, method, epochs=10, keep="last")]
    ]
    print(f"\n| Co-teaching, pair 45 % | accuracy of seeds 0 to {count - 1} | lowest | mean |\n|---|---|---|---|")
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=one_thread) as pool:
        waiting = [[pool.submit(trial.run, seed) for seed in range(count)] for trial in trials]
        for trial, runs in zip(trials, waiting, strict=True):
            found = [run.result().value for run in runs]
            told = " ".join(f"{value:.3f}" for value in found)
            print(f"| {trial.method} | {told} | {min(found):.3f} | {sum(found) / count:.3f} |", flush=True)
