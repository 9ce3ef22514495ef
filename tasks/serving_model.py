"""What MLflow loads to serve a registered model: its file is kept with the model, and so is ``components``."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedPredictor(PythonModel):
    """A predictor behind MLflow's calling convention."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the predictor that was registered, found undamaged; MLflow demands the name ``context``."""
        from components.integrity import refuse_damaged
        from components.predicting import saved_predictor

        folder, about = Path(context.artifacts["predictor"]), context.model_config
        refuse_damaged(folder, about["digest"], about["model"])
        self._predictor = saved_predictor(folder)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row for every row of ``model_input``: what the predictor adds to it."""
        from components.errors import InputError

        del context, params
        try:
            return self._predictor.predict(model_input)
        except InputError as error:  # a server answers 400 and the sentence, and not 500 and its own code
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(ServedPredictor())
