/**
 * Protobuf's JSON form (protobuf.dev, "ProtoJSON Format") of messages that a table describes (proto-schema.ts).
 *
 * Read: names in lowerCamel or as in the .proto file; 64-bit integers as text or numbers; enums by name or number; bytes
 * in base64, either alphabet; null is absent. What is not known is refused, with the name that was probably meant, and
 * all faults are told together, each with its path.
 * Written: fields without presence always, so that a reader finds what it looks for; 64-bit integers as text.
 */
import { nearest } from "../base/nearest.ts";
import { isRecord } from "../base/field.ts";
import type { Message, MessageType, SchemaField } from "./proto-schema.ts";

const DEPTH_MAX = 32;
const FAULTS_MAX = 16;
const SHOWN_CHARS_MAX = 60;
const UINT32_MAX = 2 ** 32 - 1;
const INTEGER = /^-?\d{1,20}$/;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

// ---- reading

/** Reads what JSON.parse gave. */
export function messageFromJson(type: MessageType, json: unknown): { message: Message } | { faults: string[] } {
  const faults = new Faults();
  const message = readMessage(type, json, "", faults, 0);
  return faults.list.length === 0 ? { message } : { faults: faults.list };
}

class Faults {
  readonly list: string[] = [];

  add(path: string, what: string): void {
    if (this.list.length < FAULTS_MAX) this.list.push(path === "" ? what : `${path} ${what}`);
  }
}

function readMessage(type: MessageType, json: unknown, path: string, faults: Faults, depth: number): Message {
  const message = type.empty();
  if (!isRecord(json)) {
    faults.add(path === "" ? "the body" : path, `is ${shown(json)}; expected an object`);
    return message;
  }
  if (depth > DEPTH_MAX) {
    faults.add(path, `is nested more than ${DEPTH_MAX} levels deep`);
    return message;
  }
  const given = new Set<string>();
  for (const [name, value] of Object.entries(json)) {
    const field = type.byName.get(name);
    const at = path === "" ? printable(name) : `${path}.${printable(name)}`;
    if (field === undefined) {
      faults.add(at, `is not known${hint(name, type)}`);
    } else if (value !== null && given.has(field.json)) {
      faults.add(at, "is given twice, by both of its names");
    } else if (value !== null) {
      given.add(field.json);
      message[field.json] = readField(field, value, at, faults, depth);
      const rival = type.rivals.get(field.json)?.find((other) => given.has(other));
      if (rival !== undefined) faults.add(at, `and ${rival} are both given; only one of them may be`);
    }
  }
  return message;
}

function hint(name: string, type: MessageType): string {
  const names = type.fields.map(({ json }) => json);
  const near = nearest(name, names);
  if (near !== undefined) return `; did you mean ${near}?`;
  return names.length === 0 ? "; nothing is expected here" : `; expected ${names.join(", ")}`;
}

function readField(field: SchemaField, json: unknown, path: string, faults: Faults, depth: number): unknown {
  if (field.label === "repeated") {
    if (!Array.isArray(json)) {
      faults.add(path, `is ${shown(json)}; expected a list`);
      return [];
    }
    return json.map((one: unknown, at) => readValue(field, one, `${path}[${at}]`, faults, depth));
  }
  if (field.label === "map") {
    const map = Object.create(null) as Message;
    if (!isRecord(json)) faults.add(path, `is ${shown(json)}; expected an object`);
    else {
      for (const [key, one] of Object.entries(json)) {
        map[key] = readValue(field, one, `${path}[${JSON.stringify(key.slice(0, SHOWN_CHARS_MAX))}]`, faults, depth);
      }
    }
    return map;
  }
  return readValue(field, json, path, faults, depth);
}

function readValue(field: SchemaField, json: unknown, path: string, faults: Faults, depth: number): unknown {
  const refuse = (expected: string): undefined => {
    faults.add(path, `is ${shown(json)}; expected ${expected}`);
  };
  switch (field.type) {
    case "message":
      return readMessage(field.message!, json, path, faults, depth + 1);
    case "string":
      return typeof json === "string" ? json : refuse("text");
    case "bool":
      return typeof json === "boolean" ? json : refuse("true or false");
    case "bytes": {
      const bytes = typeof json === "string" ? fromBase64(json) : null;
      return bytes ?? refuse("base64");
    }
    case "enum": {
      const { byName, byNumber } = field.enumeration!;
      if (typeof json === "string" && byName.has(json)) return json;
      if (Number.isInteger(json)) return byNumber.get(json as number) ?? json;
      const near = typeof json === "string" ? nearest(json, [...byName.keys()]) : undefined;
      return refuse(near === undefined ? `one of ${[...byName.keys()].join(", ")}` : `a known name, such as ${near}`);
    }
    case "double":
    case "float": {
      const number = typeof json === "string" ? floatOf(json) : json;
      return typeof number === "number" ? number : refuse("a number");
    }
    default:
      return integerOf(field, json) ?? refuse(integerRange(field));
  }
}

function integerOf({ type }: SchemaField, json: unknown): number | undefined {
  const number = typeof json === "string" && INTEGER.test(json) ? Number(json) : json;
  if (typeof number !== "number" || !Number.isSafeInteger(number)) return undefined;
  const isIn =
    type === "uint32"
      ? number >= 0 && number <= UINT32_MAX
      : type === "int32"
        ? number >= -(2 ** 31) && number < 2 ** 31
        : type === "int64" || number >= 0;
  return isIn ? number + 0 : undefined;
}

function integerRange({ type }: SchemaField): string {
  if (type === "uint32") return `a whole number from 0 to ${UINT32_MAX}`;
  return type === "uint64" ? "a whole number from 0 to 2^53" : "a whole number";
}

function floatOf(text: string): number | undefined {
  if (text === "NaN" || text === "Infinity" || text === "-Infinity") return Number(text);
  return /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined;
}

function fromBase64(text: string): Uint8Array | null {
  if (!BASE64.test(text)) return null;
  const plain = text.replace(/=+$/, "").replaceAll("-", "+").replaceAll("_", "/");
  if (plain.length % 4 === 1) return null;
  return Uint8Array.from(atob(plain), (char) => char.charCodeAt(0));
}

function shown(json: unknown): string {
  const text = JSON.stringify(json) ?? "nothing";
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}...`;
}

function printable(name: string): string {
  return /^[\w.-]{1,60}$/.test(name) ? name : JSON.stringify(name.slice(0, SHOWN_CHARS_MAX));
}

// ---- writing

/** What JSON.stringify makes the message's JSON of. */
export function messageToJson(type: MessageType, message: object): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const field of type.fields) {
    const value = (message as Message)[field.json] ?? undefined;
    if (field.label === "repeated") {
      json[field.json] = ((value ?? []) as readonly unknown[]).map((one) => valueToJson(field, one));
    } else if (field.label === "map") {
      const entries = Object.entries(value ?? {}).map(([key, one]) => [key, valueToJson(field, one)]);
      json[field.json] = Object.fromEntries(entries);
    } else if (value !== undefined) {
      json[field.json] = valueToJson(field, value);
    } else if (!field.hasPresence) {
      json[field.json] = valueToJson(field, type.empty()[field.json]);
    }
  }
  return json;
}

function valueToJson(field: SchemaField, value: unknown): unknown {
  switch (field.type) {
    case "message":
      return messageToJson(field.message!, value as object);
    case "bytes":
      return toBase64(value as Uint8Array);
    case "int64":
    case "uint64":
      return String(Math.trunc(Number(value)));
    case "double":
    case "float":
      return Number.isFinite(value) ? value : String(value);
    case "enum":
      return typeof value === "number" ? (field.enumeration?.byNumber.get(value) ?? value) : value;
    default:
      return value;
  }
}

const CHUNK_BYTES = 8190;

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + CHUNK_BYTES)));
  }
  return text;
}
