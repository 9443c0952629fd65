"""A model for Triton: answers its text; decoupled, word by word, where its configuration says so."""

import json
import os
import sys

# Triton starts Python isolated from its environment.
sys.path.extend(os.environ.get("PYTHONPATH", "").split(":"))

import numpy  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402


class TritonPythonModel:
    def initialize(self, args):
        configuration = json.loads(args["model_config"])
        self.decoupled = triton.using_decoupled_model_transaction_policy(configuration)

    def execute(self, requests):
        texts = [triton.get_input_tensor_by_name(request, "text").as_numpy() for request in requests]
        if not self.decoupled:
            return [triton.InferenceResponse([triton.Tensor("text", text)]) for text in texts]
        for request, text in zip(requests, texts, strict=True):
            sender = request.get_response_sender()
            for word in text[0].split():
                output = triton.Tensor("text", numpy.array([word], dtype=numpy.object_))
                sender.send(triton.InferenceResponse([output]))
            sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None
