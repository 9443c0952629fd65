/**
 * What Bun's executable is made of, as LICENSE.md in its repository lists it for Linux: its package has neither that file
 * nor any text of a licence. Commits come from the Bun that runs this, which is of the version that is built with.
 */

import type { Part } from "./bill.ts";

interface Linked {
  readonly name: string;
  /** An SPDX expression of licences whose texts are in licences/. */
  readonly licence: string;
  readonly copyright: readonly string[];
  /** As a package URL, without a version. */
  readonly url: string;
  /** Its name among `process.versions`, where Bun tells which one it has. */
  readonly versionName?: string;
}

const github = (path: string): string => `pkg:github/${path}`;

const LINKED: readonly Linked[] = [
  {
    name: "WebKit (JavaScriptCore, WTF, bmalloc)",
    licence: "LGPL-2.1-only AND BSD-2-Clause",
    copyright: ["Copyright (C) Apple Inc. and others"],
    url: github("oven-sh/webkit"),
    versionName: "webkit",
  },
  {
    name: "ICU",
    licence: "Unicode-3.0",
    copyright: [
      "Copyright (c) 2016-2026 Unicode, Inc.",
      "Copyright (c) 1995-2016 International Business Machines Corporation and others",
    ],
    url: github("unicode-org/icu"),
    versionName: "icu",
  },
  {
    name: "BoringSSL",
    licence: "Apache-2.0 AND OpenSSL AND ISC AND MIT",
    copyright: [
      "Copyright (c) Google LLC",
      "Copyright (c) The OpenSSL Project",
      "Copyright (c) the fiat-crypto authors",
    ],
    url: github("oven-sh/boringssl"),
    versionName: "boringssl",
  },
  {
    name: "SQLite",
    licence: "blessing",
    copyright: [],
    url: "pkg:generic/sqlite",
    versionName: "sqlite",
  },
  {
    name: "brotli",
    licence: "MIT",
    copyright: ["Copyright (c) 2009, 2010, 2013-2016 by the Brotli Authors"],
    url: github("google/brotli"),
  },
  {
    name: "libarchive",
    licence: "BSD-2-Clause AND BSD-3-Clause",
    copyright: [
      "Copyright (c) 2003-2018 Tim Kientzle and the authors named in its files",
      "Copyright (c) The Regents of the University of California",
    ],
    url: github("libarchive/libarchive"),
    versionName: "libarchive",
  },
  {
    name: "lol-html",
    licence: "BSD-3-Clause",
    copyright: ["Copyright (C) 2019, Cloudflare, Inc.", "Copyright (C) 2019, Ivan Nikulin"],
    url: github("cloudflare/lol-html"),
    versionName: "lolhtml",
  },
  {
    name: "ls-hpack",
    licence: "MIT",
    copyright: ["Copyright (c) 2018 LiteSpeed Technologies Inc"],
    url: github("litespeedtech/ls-hpack"),
    versionName: "lshpack",
  },
  {
    name: "ls-qpack",
    licence: "MIT",
    copyright: ["Copyright (c) 2019 LiteSpeed Technologies Inc"],
    url: github("litespeedtech/ls-qpack"),
  },
  {
    name: "lsquic",
    licence: "MIT AND BSD-3-Clause",
    copyright: ["Copyright (c) 2017 - 2018 LiteSpeed Technologies Inc", "Copyright (c) The Chromium Authors"],
    url: github("litespeedtech/lsquic"),
  },
  {
    name: "mimalloc",
    licence: "MIT",
    copyright: ["Copyright (c) 2018-2026 Microsoft Corporation, Daan Leijen"],
    url: github("oven-sh/mimalloc"),
    versionName: "mimalloc",
  },
  {
    name: "picohttpparser",
    licence: "MIT",
    copyright: ["Copyright (c) 2009-2014 Kazuho Oku, Tokuhiro Matsuno, Daisuke Murase, Shigeo Mitsunari"],
    url: github("h2o/picohttpparser"),
    versionName: "picohttpparser",
  },
  {
    name: "zstd",
    licence: "BSD-3-Clause",
    copyright: ["Copyright (c) Meta Platforms, Inc. and affiliates"],
    url: github("facebook/zstd"),
    versionName: "zstd",
  },
  {
    name: "simdutf",
    licence: "Apache-2.0",
    copyright: ["Copyright The simdutf authors"],
    url: github("simdutf/simdutf"),
  },
  {
    name: "tinycc",
    licence: "LGPL-2.1-only",
    copyright: ["Copyright (c) 2001-2004 Fabrice Bellard and others"],
    url: github("oven-sh/tinycc"),
    versionName: "tinycc",
  },
  {
    name: "uSockets and uWebSockets, a fork",
    licence: "Apache-2.0",
    copyright: ["Copyright Alex Hultman"],
    url: github("oven-sh/bun"),
    versionName: "usockets",
  },
  {
    name: "zlib-ng",
    licence: "Zlib",
    copyright: ["(C) 1995-2025 Jean-loup Gailly and Mark Adler"],
    url: github("zlib-ng/zlib-ng"),
    versionName: "zlib",
  },
  {
    name: "c-ares",
    licence: "MIT",
    copyright: [
      "Copyright (c) 1998 Massachusetts Institute of Technology",
      "Copyright (c) 2007 - 2023 Daniel Stenberg with many contributors",
    ],
    url: github("c-ares/c-ares"),
    versionName: "ares",
  },
  {
    name: "libbase64",
    licence: "BSD-2-Clause",
    copyright: [
      "Copyright (c) 2005-2007, Nick Galbreath",
      "Copyright (c) 2015-2017, Wojciech Mula",
      "Copyright (c) 2016-2017, Matthieu Darbois",
      "Copyright (c) 2013-2022, Alfred Klomp",
    ],
    url: github("aklomp/base64"),
  },
  {
    name: "libdeflate",
    licence: "MIT",
    copyright: ["Copyright 2016 Eric Biggers", "Copyright 2024 Google LLC"],
    url: github("ebiggers/libdeflate"),
    versionName: "libdeflate",
  },
  {
    name: "libjpeg-turbo",
    licence: "IJG AND BSD-3-Clause AND Zlib",
    copyright: [
      "This software is based in part on the work of the Independent JPEG Group.",
      "Copyright (C) D. R. Commander, the libjpeg-turbo Project and others",
    ],
    url: github("libjpeg-turbo/libjpeg-turbo"),
  },
  {
    name: "libspng",
    licence: "BSD-2-Clause",
    copyright: ["Copyright (c) 2018-2021, Randy <randy408@protonmail.com>"],
    url: github("randy408/libspng"),
  },
  {
    name: "libwebp",
    licence: "BSD-3-Clause",
    copyright: ["Copyright (c) 2010, Google Inc. All rights reserved."],
    url: github("webmproject/libwebp"),
  },
  {
    name: "highway",
    licence: "Apache-2.0",
    copyright: ["Copyright The Highway Project Authors"],
    url: github("google/highway"),
  },
  {
    name: "uucode",
    licence: "MIT",
    copyright: ["Copyright (c) Jacob Sandlund"],
    url: github("jacobsandlund/uucode"),
  },
  {
    name: "TigerBeetle, parts of its input and output",
    licence: "Apache-2.0",
    copyright: ["Copyright TigerBeetle, Inc."],
    url: github("tigerbeetle/tigerbeetle"),
  },
  {
    name: "libc++abi of LLVM, its __cxa_thread_atexit",
    licence: "Apache-2.0 WITH LLVM-exception",
    copyright: ["Copyright the LLVM Project"],
    url: github("llvm/llvm-project"),
  },
  {
    name: "esbuild, ported",
    licence: "MIT",
    copyright: ["Copyright (c) 2020 Evan Wallace"],
    url: github("evanw/esbuild"),
  },
];

/** Modules of npm that Bun has inside for programs written for Node; under the MIT licence, all of them. */
const POLYFILLS =
  "acorn acorn-walk assert browserify-zlib buffer constants-browserify crypto-browserify domain-browser events " +
  "https-browserify os-browserify path-browserify process punycode querystring-es3 stream-browserify stream-http " +
  "string_decoder timers-browserify tty-browserify url util vm-browserify";

/** Names of `process.versions` that are no libraries: Bun's own, or which interface it offers. */
const NOT_LINKED: readonly string[] =
  "bun node openssl llhttp zig v8 uv napi unicode typescript modules uwebsockets".split(" ");

/** Told with Bun itself, since its licence asks for it: how to build with a changed JavaScriptCore. */
const ABOUT_BUN = `Bun is under the MIT licence, whose text is at the end. Copyright (c) Jarred Sumner and the contributors of Bun.

It links libraries under the GNU Lesser General Public License statically (JavaScriptCore and WTF of WebKit; tinycc). Their
sources, as Bun changed them, are at https://github.com/oven-sh/WebKit and https://github.com/oven-sh/tinycc, those of Bun,
and how to build it with a changed WebKit, at https://github.com/oven-sh/bun (LICENSE.md). infermesh's sources, and
scripts/build-static.ts, which links it with any such Bun, are under the Apache License.`;

/** What Bun tells of itself and this list do not agree about; "" for nothing. */
function listFault(versions: Readonly<Record<string, string | undefined>>): string {
  const names = LINKED.flatMap(({ versionName }) => versionName ?? []);
  const gone = names.filter((name) => versions[name] === undefined);
  const strange = Object.keys(versions).filter((name) => !names.includes(name) && !NOT_LINKED.includes(name));
  if (gone.length > 0) return `it has no ${gone.join(", no ")} any more`;
  return strange.length > 0 ? `it tells of ${strange.join(", ")}` : "";
}

/** Bun, and what is linked into it, by what it tells of itself (`process.versions`). */
export function bunParts(
  bun: Pick<Part, "name" | "version" | "url" | "hash">,
  versions: Readonly<Record<string, string | undefined>>,
): Part[] {
  const fault = listFault(versions);
  if (fault !== "") {
    const remedy = "compare LICENSE.md in its repository with scripts/static/bun-parts.ts";
    throw new Error(`Bun ${bun.version} is made of other parts than are known: ${fault}; ${remedy}`);
  }
  const linked = LINKED.map(({ versionName, ...part }): Part => {
    const version = (versionName === undefined ? undefined : versions[versionName]) ?? "";
    return { ...part, version, text: "", hash: "", inside: bun.url };
  });
  const polyfills = POLYFILLS.split(" ").map((name): Part => {
    const part = { version: "", licence: "MIT", text: "", hash: "", inside: bun.url };
    return {
      ...part,
      name: `${name}, for Bun`,
      copyright: [`Copyright (c) the authors of ${name}`],
      url: `pkg:npm/${name}`,
    };
  });
  return [{ ...bun, licence: "MIT", text: ABOUT_BUN, copyright: [] }, ...linked, ...polyfills];
}
