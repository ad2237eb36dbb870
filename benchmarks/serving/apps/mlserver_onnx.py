"""An MLServer runtime around ONNX Runtime, as its guide shows a runtime of one's own."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.apps.scores import scorer


class OnnxModel(MLModel):
    """Answers with the probabilities, as the runtime for scikit-learn does."""

    async def load(self) -> bool:
        """Build the session."""
        self.scores = scorer()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer the rows of the first input."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("predict_proba", self.scores(rows))
        return InferenceResponse(model_name=self.name, outputs=[output])
