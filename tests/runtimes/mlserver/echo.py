"""A model for MLServer: answers each input tensor under the same name, text in pieces when it is asked to stream."""

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse, ResponseOutput


class Echo(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload):
        outputs = [
            ResponseOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
            for each in payload.inputs
        ]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)

    async def predict_stream(self, payloads):
        async for payload in payloads:
            for text in StringCodec.decode_input(payload.inputs[0]):
                for word in text.split():
                    output = StringCodec.encode_output(payload.inputs[0].name, [word])
                    yield InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
