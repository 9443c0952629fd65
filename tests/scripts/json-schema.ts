/**
 * Holds a value against a JSON schema (draft 7), as far as the schemas of this project's tests go: a keyword that is not
 * known here throws, so that nothing is taken for checked that is not.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

type Schema = boolean | { readonly [keyword: string]: unknown };

/** Those that say nothing of what is allowed; formats are not looked at. */
const ANNOTATIONS = new Set(
  "$schema $id $comment title description default examples definitions format meta:enum".split(" "),
);

export class JsonSchema {
  readonly #path: string;
  readonly #files = new Map<string, Schema>();

  constructor(path: string) {
    this.#path = path;
  }

  /** What is wrong with the value, each with where it is; none where it is as it should be. */
  faults(value: unknown): string[] {
    return this.#check(value, this.#file(this.#path), "", this.#path);
  }

  #file(path: string): Schema {
    const known = this.#files.get(path) ?? (JSON.parse(readFileSync(path, "utf8")) as Schema);
    this.#files.set(path, known);
    return known;
  }

  #referred(reference: string, from: string): { readonly schema: Schema; readonly file: string } {
    const [name = "", pointer = ""] = reference.split("#", 2);
    const file = name === "" ? from : join(dirname(from), name);
    let schema: unknown = this.#file(file);
    for (const part of pointer.split("/").slice(1)) schema = (schema as Record<string, unknown>)[part];
    if (schema === undefined) throw new Error(`${file} has no ${reference}`);
    return { schema: schema as Schema, file };
  }

  #check(value: unknown, schema: Schema, at: string, file: string): string[] {
    if (schema === true) return [];
    if (schema === false) return [`${at} is not allowed`];
    // Beside a reference nothing counts.
    const reference = schema["$ref"];
    if (typeof reference === "string") {
      const { schema: other, file: there } = this.#referred(reference, file);
      return this.#check(value, other, at, there);
    }
    return Object.entries(schema).flatMap(([keyword, rule]) => {
      if (ANNOTATIONS.has(keyword)) return [];
      return this.#rule(keyword, rule, value, schema, at, file);
    });
  }

  #rule(
    keyword: string,
    rule: unknown,
    value: unknown,
    of: Record<string, unknown>,
    at: string,
    file: string,
  ): string[] {
    const check = (part: unknown, schema: unknown, name: string): string[] =>
      this.#check(part, schema as Schema, `${at}/${name}`, file);
    const fails = (isWrong: boolean): string[] => (isWrong ? [`${at}: ${keyword} ${JSON.stringify(rule)}`] : []);
    const passing = (): number =>
      (rule as Schema[]).filter((schema) => this.#check(value, schema, at, file).length === 0).length;
    const object = isObject(value) ? value : undefined;
    const list = Array.isArray(value) ? (value as unknown[]) : undefined;
    const text = typeof value === "string" ? value : undefined;
    const number = typeof value === "number" ? value : undefined;
    switch (keyword) {
      case "type":
        return fails(![rule].flat().some((type) => isOfType(value, String(type))));
      case "enum":
        return fails(!(rule as unknown[]).includes(value));
      case "const":
        return fails(value !== rule);
      case "required":
        return fails(object !== undefined && (rule as string[]).some((name) => !(name in object)));
      case "properties":
        return Object.entries(rule as object).flatMap(([name, schema]) =>
          object !== undefined && name in object ? check(object[name], schema, name) : [],
        );
      case "additionalProperties":
        return Object.keys(object ?? {})
          .filter((name) => !(name in ((of["properties"] as object | undefined) ?? {})))
          .flatMap((name) => check(object?.[name], rule, name));
      case "items":
        if (!Array.isArray(rule)) return (list ?? []).flatMap((item, place) => check(item, rule, String(place)));
        return rule.flatMap((schema, place) =>
          place < (list?.length ?? 0) ? check(list?.[place], schema, String(place)) : [],
        );
      case "additionalItems":
        return (list ?? []).slice((of["items"] as unknown[]).length).flatMap((item) => check(item, rule, "more"));
      case "minItems":
        return fails(list !== undefined && list.length < Number(rule));
      case "maxItems":
        return fails(list !== undefined && list.length > Number(rule));
      case "uniqueItems":
        return fails(rule === true && new Set(list?.map((item) => JSON.stringify(item))).size < (list?.length ?? 0));
      case "pattern":
        return fails(text !== undefined && !new RegExp(String(rule), "u").test(text));
      case "minLength":
        return fails(text !== undefined && text.length < Number(rule));
      case "maxLength":
        return fails(text !== undefined && text.length > Number(rule));
      case "minimum":
        return fails(number !== undefined && number < Number(rule));
      case "maximum":
        return fails(number !== undefined && number > Number(rule));
      case "oneOf":
        return fails(passing() !== 1);
      case "anyOf":
        return fails(passing() === 0);
      case "allOf":
        return (rule as Schema[]).flatMap((schema) => this.#check(value, schema, at, file));
      default:
        throw new Error(`the keyword ${keyword} of JSON schemas is not known here`);
    }
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOfType(value: unknown, type: string): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  if (type === "null") return value === null;
  return typeof value === type;
}
