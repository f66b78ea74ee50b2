// All databases of this origin in the format of Playwright's storage state (`indexedDB` of an
// origin), as JSON text. What JSON has no form for is encoded as Playwright encodes it; what
// neither has one for (a CryptoKey, a Blob) is left out with its record, for half a record is worse
// than none.
async (ARRAYS) => {
  const LIMIT = 16 * 1024 * 1024;
  const request = (r) =>
    new Promise((resolve, reject) => {
      r.onsuccess = () => resolve(r.result);
      r.onerror = () => reject(r.error);
    });
  const base64 = (bytes) => {
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  };
  const isObject = (v) => Object.getPrototypeOf(v) === Object.prototype;

  // JSON says it as it is.
  const isPlain = (v, parents = []) => {
    if (v === null || typeof v === "string" || typeof v === "boolean") return true;
    if (typeof v === "number") return Number.isFinite(v) && !Object.is(v, -0);
    if (typeof v !== "object" || parents.includes(v)) return false;
    if (!Array.isArray(v) && !isObject(v)) return false;
    const own = Object.keys(v);
    if (Array.isArray(v) && own.length !== v.length) return false;
    return own.every((k) => isPlain(v[k], [...parents, v]));
  };

  const encode = (v, seen = new Map()) => {
    if (v === undefined) return { v: "undefined" };
    if (v === null) return { v: "null" };
    if (typeof v === "string" || typeof v === "boolean") return v;
    if (typeof v === "number") {
      if (Number.isFinite(v)) return Object.is(v, -0) ? { v: "-0" } : v;
      return { v: String(v) };
    }
    if (typeof v === "bigint") return { bi: v.toString() };
    if (seen.has(v)) return { ref: seen.get(v) };
    if (v instanceof Date) return { d: v.toJSON() };
    if (v instanceof RegExp) return { r: { p: v.source, f: v.flags } };
    if (v instanceof Error) return { e: { n: v.name, m: v.message, s: v.stack ?? "" } };
    if (v instanceof ArrayBuffer) return { ab: { b: base64(new Uint8Array(v)) } };
    for (const [k, type] of Object.entries(ARRAYS)) {
      if (v instanceof type)
        return { ta: { b: base64(new Uint8Array(v.buffer, v.byteOffset, v.byteLength)), k } };
    }
    const id = seen.size + 1;
    seen.set(v, id);
    if (Array.isArray(v)) return { a: Array.from(v, (item) => encode(item, seen)), id };
    if (v instanceof Map)
      return { m: [...v].map(([k, item]) => ({ k: encode(k, seen), v: encode(item, seen) })), id };
    if (v instanceof Set) return { s: [...v].map((item) => encode(item, seen)), id };
    if (!isObject(v)) throw new TypeError("no form for this");
    return { o: Object.keys(v).map((k) => ({ k, v: encode(v[k], seen) })), id };
  };

  const path = (p) =>
    Array.isArray(p) ? { keyPathArray: [...p] } : typeof p === "string" ? { keyPath: p } : {};
  const put = (record, name, v) => {
    if (isPlain(v)) record[name] = v;
    else record[`${name}Encoded`] = encode(v);
  };

  let skipped = 0;
  let size = 0;
  const readStore = async (store) => {
    const [keys, values] = await Promise.all([
      request(store.getAllKeys()),
      request(store.getAll()),
    ]);
    const records = [];
    for (const [i, key] of keys.entries()) {
      try {
        const record = {};
        if (store.keyPath === null) put(record, "key", key);
        put(record, "value", values[i]);
        size += JSON.stringify(record).length;
        if (size > LIMIT) throw new RangeError("too much");
        records.push(record);
      } catch {
        skipped += 1;
      }
    }
    const indexes = [...store.indexNames].map((name) => {
      const index = store.index(name);
      return { name, ...path(index.keyPath), multiEntry: index.multiEntry, unique: index.unique };
    });
    return {
      name: store.name,
      ...path(store.keyPath),
      autoIncrement: store.autoIncrement,
      records,
      indexes,
    };
  };

  const readDatabase = async ({ name, version }) => {
    const database = await request(indexedDB.open(name));
    try {
      const names = [...database.objectStoreNames];
      if (names.length === 0) return { name, version, stores: [] };
      const transaction = database.transaction(names, "readonly");
      const stores = await Promise.all(
        names.map((store) => readStore(transaction.objectStore(store))),
      );
      return { name, version, stores };
    } finally {
      database.close();
    }
  };

  const databases = [];
  for (const info of await indexedDB.databases()) {
    try {
      databases.push(await readDatabase(info));
    } catch {
      skipped += 1;
    }
  }
  return { databases: JSON.stringify(databases), skipped };
};
