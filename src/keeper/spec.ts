/** What an agent tells a keeper: what to run, and where to keep what is known of it. It goes by a pipe, for it holds secrets. */
import { isRecord } from "../base/field.ts";

export interface KeeperSpec {
  /** The path of the program, then its arguments. */
  readonly words: readonly string[];
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Where the record and the log are. */
  readonly stateDirectory: string;
  readonly fingerprint: string;
  readonly isDetached: boolean;
  readonly stopTimeoutMs: number;
  readonly logSizeBytesMax: number;
  readonly logFilesMax: number;
  /** The command that runs this program again. */
  readonly self: readonly string[];
}

export const SPEC_BYTES_MAX = 16 * 1024 * 1024;

export function readSpec(text: string): KeeperSpec | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const texts = [value["workingDirectory"], value["stateDirectory"], value["fingerprint"]];
  const numbers = [value["stopTimeoutMs"], value["logSizeBytesMax"], value["logFilesMax"]];
  const isRight =
    isTexts(value["words"]) &&
    isTexts(value["self"]) &&
    isRecord(value["env"]) &&
    Object.values(value["env"]).every((one) => typeof one === "string") &&
    texts.every((one) => typeof one === "string") &&
    numbers.every((one) => typeof one === "number" && one >= 0) &&
    typeof value["isDetached"] === "boolean";
  return isRight ? (value as unknown as KeeperSpec) : undefined;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string");
}
