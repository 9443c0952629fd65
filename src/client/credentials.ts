/** The API key, out of a file or the environment, as a header. No fault tells what was found. */
import { readFileSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import type { Header } from "../load/settings.ts";

const KEY_CHARACTERS_MAX = 8192;
/** What may stand in a header as it is. */
const VISIBLE = /^[!-~]+$/;

export interface KeySource {
  readonly apiKeyFile: string;
  readonly apiKeyEnv: string;
}

/** No header where no key is named. Throws a MeshError that says what to do. */
export function keyHeader({ apiKeyFile, apiKeyEnv }: KeySource, env: NodeJS.ProcessEnv): readonly Header[] {
  if (apiKeyFile === "" && apiKeyEnv === "") return [];
  const source = apiKeyFile === "" ? `--api-key-env: the variable ${apiKeyEnv}` : `--api-key-file: ${apiKeyFile}`;
  const refused = (why: string) => new MeshError("config_invalid", `${source} ${why}`);
  let key = env[apiKeyEnv] ?? "";
  if (apiKeyFile !== "") {
    try {
      // Editors and `echo` end a file with a line's end.
      key = readFileSync(apiKeyFile, "utf8").trim();
    } catch (error) {
      throw refused(`can't be read: ${(error as { code?: string }).code ?? "an unknown error"}`);
    }
  }
  if (key === "") throw refused(apiKeyFile === "" ? "is not set, or empty" : "is empty");
  if (key.length > KEY_CHARACTERS_MAX) throw refused(`holds more than ${KEY_CHARACTERS_MAX} characters`);
  if (!VISIBLE.test(key)) throw refused("holds what can't be sent in a header: several lines, or a blank?");
  return [{ name: "authorization", value: `Bearer ${key}` }];
}
