/**
 * The numbers of etcd's members and clusters: 64 random bits, more than a number in JavaScript holds exactly, so they
 * are read from the bytes beside the message, and shown as etcdctl shows them.
 */
import type { MemberListResponse, StatusResponse } from "../gen/etcd.js";

export interface StatusIds {
  readonly message: StatusResponse;
  readonly cluster: string;
  readonly member: string;
  /** "0" while none is known. */
  readonly leader: string;
}

export interface MemberIds {
  readonly id: string;
  readonly name: string;
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

const HEADER = 1;
const REPEATED = 2;

export function statusIds(bytes: Uint8Array, message: StatusResponse): StatusIds {
  const header = nested(bytes, HEADER)[0];
  return {
    message,
    cluster: hex(header, 1),
    member: hex(header, 2),
    leader: hex(bytes, 4),
  };
}

export function memberIds(bytes: Uint8Array, { members }: MemberListResponse): MemberIds[] {
  return nested(bytes, REPEATED).map((one, i) => ({
    id: hex(one, 1),
    name: members[i]?.name ?? "",
    clientUrls: members[i]?.clientURLs ?? [],
    isLearner: members[i]?.isLearner ?? false,
  }));
}

function hex(message: Uint8Array | undefined, number: number): string {
  for (const field of message === undefined ? [] : fieldsOf(message)) {
    if (field.number === number && typeof field.value === "bigint") return field.value.toString(16);
  }
  return "0";
}

function nested(message: Uint8Array, number: number): Uint8Array[] {
  return [...fieldsOf(message)].flatMap((field) =>
    field.number === number && typeof field.value !== "bigint" ? [field.value] : [],
  );
}

/** Varints and length-delimited fields: etcd writes no others. The bytes were read as a message before. */
function* fieldsOf(bytes: Uint8Array): Generator<{ readonly number: number; readonly value: bigint | Uint8Array }> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; at < bytes.length; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return BigInt.asUintN(64, value);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const value = varint();
    if ((tag & 7) === 0) {
      yield { number: tag >> 3, value };
    } else {
      yield { number: tag >> 3, value: bytes.subarray(at, at + Number(value)) };
      at += Number(value);
    }
  }
}
