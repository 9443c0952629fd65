/** URLs as people may see them: without what lets one in. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { shown } from "../../src/base/shown.ts";
import { placeOf, withoutUrlSecrets } from "../../src/base/url-secrets.ts";

test("passwords are hidden, and names that stand alone; all else stays", () => {
  const table: [string, string][] = [
    ["http://host:9400/metrics", "http://host:9400/metrics"],
    ["dcgm=http://ada:secret@host/m?x=1", "dcgm=http://ada:***@host/m?x=1"],
    ["http://:secret@host", "http://:***@host"],
    ["http://token@host/", "http://***@host/"],
    ["http://a:b@c:d@host/", "http://a:***@host/"],
    ["http://a:b/c@host/", "http://a:***@host/"],
    [
      "see http://a:b@host/ and http://c:d@other/, or ada@host",
      "see http://a:***@host/ and http://c:***@other/, or ada@host",
    ],
    ["http://host/@scope/name", "http://host/@scope/name"],
    ["http://host:80/find?mail=a@b", "http://host:80/find?mail=a@b"],
    ["dcgm=ada:secret@host/metrics", "dcgm=ada:***@host/metrics"],
    ["ada:se/cr:et@host", "ada:***@host"],
    [`"dcgm=http://ada:se"cr'et@host"`, `"dcgm=http://ada:***@host"`],
    ["http:/ada:secret@host", "http:/ada:***@host"],
    ["at 12:30 by ada@host, host:80/@x", "at 12:30 by ada@host, host:80/@x"],
    ["", ""],
  ];
  for (const [text, wanted] of table) expect(withoutUrlSecrets(text)).toBe(wanted);
  expect(placeOf("https://a:b@host/p?key=secret#part")).toBe("https://host/p");
  expect(placeOf("/p?key=secret")).toBe("/p");
});

test("no password is left, whatever it is of", () => {
  const password = fc.string({ minLength: 8, unit: fc.constantFrom(..."abcXYZ019:/@?#%&=+,;$!*()[]".split("")) });
  fc.assert(
    fc.property(password, fc.constantFrom("", "ada"), fc.constantFrom("", "dcgm="), (secret, name, before) => {
      const url = `${before}http://${name}:${secret}@host:9400/metrics`;
      // What a URL's reader takes for host, port and path is no password.
      fc.pre(!/^\d{1,5}[/?#]/.test(secret));
      for (const text of [withoutUrlSecrets(url), shown(url), shown({ a: [url] })]) {
        expect(text).toContain(`http://${name}:***@host:9400`);
        expect(text).not.toContain(`${secret}@`);
      }
      if (URL.canParse(url) && new URL(url).host === "host:9400") expect(placeOf(url)).toBe("http://host:9400/metrics");
    }),
  );
});

test("a long text without an end costs no more than its length", () => {
  for (const part of [":/", ",a:", "//a:", "http://", "@a:"]) {
    const text = `ada@host ${part.repeat(100_000)}`;
    expect(withoutUrlSecrets(text)).toStartWith("ada@host ");
  }
});
