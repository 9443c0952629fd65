/** Certificates that sign themselves, as another reader of them sees them. */
import { expect, test } from "bun:test";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { selfSigned } from "../../src/trial/certificate.ts";

const FROM = Date.UTC(2026, 0, 2, 3, 4, 5);
const UNTIL = Date.UTC(2051, 5, 1);

test.each([
  ["127.0.0.1", "IP Address:127.0.0.1"],
  ["node-1.example.com", "DNS:node-1.example.com"],
  // Long enough that lengths take more bytes.
  [`${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.example.com`, undefined],
])("for %s", (name, alternative) => {
  const { cert, key } = selfSigned(name, FROM, UNTIL);
  const read = new X509Certificate(cert);
  expect(read.subjectAltName).toBe(alternative ?? `DNS:${name}`);
  expect(read.verify(read.publicKey)).toBe(true);
  expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect([new Date(read.validFrom).getTime(), new Date(read.validTo).getTime()]).toEqual([FROM, UNTIL]);
  expect(read.subject).toBe("CN=self-test");
  expect(read.issuer).toBe(read.subject);
});

test("two of them have keys and numbers of their own", () => {
  const [one, two] = [selfSigned("a", FROM, UNTIL), selfSigned("a", FROM, UNTIL)].map(
    ({ cert }) => new X509Certificate(cert),
  ) as [X509Certificate, X509Certificate];
  expect(one.serialNumber).not.toBe(two.serialNumber);
  expect(one.verify(two.publicKey)).toBe(false);
});
