/** The fields of heads by which servers tell of their load (orca.ts), and by which a request asks them to. */

export const LOAD_FIELD = "endpoint-load-metrics";
/** gRPC's: the message in base64, in the head or in the trailers. */
export const LOAD_FIELD_BINARY = "endpoint-load-metrics-bin";
/** vLLM and Triton tell only those who ask for one of their formats. */
export const LOAD_WISH_FIELD = "endpoint-load-metrics-format";
