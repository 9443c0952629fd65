/** KServe's Open Inference Protocol, as far as it is used: github.com/kserve/open-inference-protocol, as protobufjs reads it. */
import protobuf from "protobufjs";

const ROOT = protobuf.parse(
  `
  syntax = "proto3";
  package inference;
  message InferParameter { oneof parameter_choice { bool bool_param = 1; int64 int64_param = 2; string string_param = 3; } }
  message InferTensorContents {
    repeated bool bool_contents = 1; repeated int32 int_contents = 2; repeated int64 int64_contents = 3;
    repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6;
    repeated double fp64_contents = 7; repeated bytes bytes_contents = 8;
  }
  message ModelInferRequest {
    message InferInputTensor {
      string name = 1; string datatype = 2; repeated int64 shape = 3; map<string, InferParameter> parameters = 4;
      InferTensorContents contents = 5;
    }
    string model_name = 1; string model_version = 2; string id = 3; map<string, InferParameter> parameters = 4;
    repeated InferInputTensor inputs = 5; repeated bytes raw_input_contents = 7;
  }
  message ModelInferResponse {
    message InferOutputTensor {
      string name = 1; string datatype = 2; repeated int64 shape = 3; map<string, InferParameter> parameters = 4;
      InferTensorContents contents = 5;
    }
    string model_name = 1; string model_version = 2; string id = 3; map<string, InferParameter> parameters = 4;
    repeated InferOutputTensor outputs = 5; repeated bytes raw_output_contents = 6;
  }
  message ModelStreamInferResponse { string error_message = 1; ModelInferResponse infer_response = 2; }
`,
).root;

export type KserveMessage = "ModelInferRequest" | "ModelInferResponse" | "ModelStreamInferResponse";

export function encoded(name: KserveMessage, value: object): Buffer {
  return Buffer.from(ROOT.lookupType(`inference.${name}`).encode(value).finish());
}

/** `bytes` as Buffers. */
export function decoded(name: KserveMessage, bytes: Uint8Array): Record<string, unknown> {
  const type = ROOT.lookupType(`inference.${name}`);
  return type.toObject(type.decode(Buffer.from(bytes)), { defaults: true, longs: Number });
}

/** One element of BYTES. */
export function element(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(4);
  head.writeUInt32LE(bytes.length);
  return Buffer.concat([head, bytes]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Inputs of a request by their names. */
export function inputsOf(request: Record<string, unknown>): Record<string, string | boolean> {
  const inputs = request["inputs"] as { readonly name: string; readonly datatype: string; readonly shape: number[] }[];
  const raw = request["rawInputContents"] as Buffer[];
  return Object.fromEntries(
    inputs.map(({ name, datatype, shape }, at) => {
      if (shape.length !== 1 || shape[0] !== 1) throw new Error(`${name} has the shape ${shape.join()}`);
      const bytes = raw[at]!;
      if (datatype === "BOOL") return [name, bytes[0] === 1];
      if (bytes.readUInt32LE() !== bytes.length - 4) throw new Error(`${name} has a wrong length`);
      return [name, bytes.subarray(4).toString()];
    }),
  );
}
