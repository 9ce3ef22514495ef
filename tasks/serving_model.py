"""What MLflow loads to serve a registered model: its file is kept with the model, and so is ``components``."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedPredictor(PythonModel):
    """A predictor behind MLflow's calling convention."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the predictor that was registered; MLflow demands the name ``context``."""
        from components.predictor import Predictor

        self._predictor = Predictor.load(Path(context.artifacts["predictor"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row for every row of ``model_input``: probability, uncertainty, outside_support."""
        del context, params
        return self._predictor.predict(model_input)


set_model(ServedPredictor())
