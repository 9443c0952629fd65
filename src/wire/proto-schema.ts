/**
 * Protobuf messages described by a table (src/gen/services.js, made from proto/), and that table with its names
 * resolved: what the binary codec (proto-reader.ts, proto-writer.ts), the JSON mapping (proto-json.ts) and reflection read.
 *
 * A message is a plain object by the fields' JSON names. Scalars without presence are always there, lists and maps too;
 * what has presence is there or undefined. Enums are their names, or the number where no name is known; 64-bit integers
 * are plain numbers, exact to 2^53, and what is beyond is refused.
 */

export type ProtoScalar =
  | "double"
  | "float"
  | "int32"
  | "int64"
  | "uint32"
  | "uint64"
  | "bool"
  | "string"
  | "bytes"
  | "enum"
  | "message";

export interface FieldInfo {
  readonly name: string;
  readonly json: string;
  readonly number: number;
  readonly type: ProtoScalar;
  /** The full name of its enum or message. */
  readonly of?: string;
  readonly label?: "repeated" | "map" | "optional";
  /** Of a map: the type of its keys. */
  readonly key?: ProtoScalar;
  readonly oneof?: string;
  readonly doc?: string;
}

export interface MethodInfo {
  readonly name: string;
  readonly doc?: string;
  readonly input: string;
  readonly output: string;
  readonly clientStreams?: boolean;
  readonly serverStreams?: boolean;
  /** It changes nothing. */
  readonly reads?: boolean;
}

export interface ServiceInfo {
  readonly name: string;
  readonly doc?: string;
  readonly methods: readonly MethodInfo[];
}

/** A file as server reflection tells it. */
export interface ProtoFile {
  readonly file: string;
  readonly dependencies: readonly string[];
  readonly services: readonly string[];
  readonly symbols: readonly string[];
  /** A FileDescriptorProto, in base64. */
  readonly bytes: string;
}

export interface ProtoSchema {
  readonly messages: Readonly<Record<string, { readonly doc?: string; readonly fields: readonly FieldInfo[] }>>;
  readonly enums: Readonly<
    Record<string, { readonly doc?: string; readonly values: Readonly<Record<string, number>> }>
  >;
  readonly services: readonly ServiceInfo[];
  readonly files: readonly ProtoFile[];
}

/** A message in memory. */
export type Message = Record<string, unknown>;

export interface EnumType {
  readonly name: string;
  readonly byName: ReadonlyMap<string, number>;
  readonly byNumber: ReadonlyMap<number, string>;
}

export interface SchemaField extends FieldInfo {
  /** Of fields of the types "message" and "enum". */
  readonly message: MessageType | null;
  readonly enumeration: EnumType | null;
  /** Whether its absence differs from its default. */
  readonly hasPresence: boolean;
}

export class MessageType {
  readonly name: string;
  readonly fields: SchemaField[] = [];
  readonly byNumber = new Map<number, SchemaField>();
  /** By both the JSON name and the original one. */
  readonly byName = new Map<string, SchemaField>();
  /** Other members of each oneof, by the name of a member. */
  readonly rivals = new Map<string, readonly string[]>();

  constructor(name: string) {
    this.name = name;
  }

  /** A message that says nothing. */
  empty(): Message {
    const message: Message = {};
    for (const field of this.fields) {
      if (field.label === "repeated") message[field.json] = [];
      else if (field.label === "map") message[field.json] = Object.create(null) as object;
      else if (!field.hasPresence) message[field.json] = defaultOf(field);
    }
    return message;
  }
}

/** What a field without presence is when nothing was said. */
export function defaultOf({ type, enumeration }: SchemaField): unknown {
  switch (type) {
    case "string":
      return "";
    case "bytes":
      return NO_BYTES;
    case "bool":
      return false;
    case "enum":
      return enumeration?.byNumber.get(0) ?? 0;
    default:
      return 0;
  }
}

const NO_BYTES = new Uint8Array(0);

export class ProtoTypes {
  readonly schema: ProtoSchema;
  readonly #messages = new Map<string, MessageType>();
  readonly #enums = new Map<string, EnumType>();

  constructor(schema: ProtoSchema) {
    this.schema = schema;
    for (const name of Object.keys(schema.messages)) this.#messages.set(name, new MessageType(name));
    for (const [name, { values }] of Object.entries(schema.enums)) {
      const byName = new Map(Object.entries(values));
      this.#enums.set(name, { name, byName, byNumber: new Map([...byName].map(([text, number]) => [number, text])) });
    }
    for (const [name, { fields }] of Object.entries(schema.messages)) this.#link(this.message(name), fields);
  }

  message(name: string): MessageType {
    const type = this.#messages.get(name);
    if (type === undefined) throw new Error(`no message is called ${name}`);
    return type;
  }

  #link(type: MessageType, fields: readonly FieldInfo[]): void {
    for (const info of fields) {
      const isPlain = info.label === undefined && info.oneof === undefined;
      const field: SchemaField = {
        ...info,
        message: info.type === "message" ? this.message(info.of ?? "") : null,
        enumeration: info.type === "enum" ? (this.#enums.get(info.of ?? "") ?? null) : null,
        hasPresence: info.label === "optional" || info.oneof !== undefined || (isPlain && info.type === "message"),
      };
      type.fields.push(field);
      type.byNumber.set(field.number, field);
      type.byName.set(field.json, field);
      type.byName.set(field.name, field);
    }
    for (const { json, oneof } of type.fields) {
      if (oneof === undefined) continue;
      const rivals = type.fields.filter((other) => other.oneof === oneof && other.json !== json);
      type.rivals.set(
        json,
        rivals.map((rival) => rival.json),
      );
    }
  }
}
