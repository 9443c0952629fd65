// Generated from proto/ by scripts/generate-proto.ts: never edit. source d1c55041781a04d0634358f9 output 6f9a8895a78e983107a46816
export const DESCRIPTORS: readonly {
  readonly file: string;
  readonly services: readonly string[];
  readonly symbols: readonly string[];
  /** A FileDescriptorProto, in base64. */
  readonly bytes: string;
}[];
