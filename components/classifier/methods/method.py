"""What a training descends on: the risk of a setting, or something that also learns what it is not told.

A method is a frozen dataclass with its knobs as fields, light to import; for a given problem it makes a learner, which
needs torch and lives in ``components.classifier.learners``.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.classifier.learners.learner import Learner, Problem


class Method(ABC):
    """A way to train.

    Attributes:
        kind: Names the method.
    """

    kind: str

    @abstractmethod
    def learner(self, problem: "Problem") -> "Learner":
        """A fresh learner.

        Raises:
            InputError: The method does not fit the setting.
        """
