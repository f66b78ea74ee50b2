// Replaces all that this origin stores, from the format of Playwright's storage state (`indexedDB` of an
// origin): what `read-indexeddb.js` encodes is decoded here. Given `{local, session, databases}`, storages
// as entries; a `session` of null leaves that of this tab alone.
async ({ local, session, databases }, ARRAYS) => {
  const WORDS = {
    undefined: undefined,
    null: null,
    NaN: Number.NaN,
    Infinity: Number.POSITIVE_INFINITY,
    "-Infinity": Number.NEGATIVE_INFINITY,
    "-0": -0,
  };
  const request = (r) =>
    new Promise((resolve, reject) => {
      r.onsuccess = () => resolve(r.result);
      r.onerror = () => reject(r.error);
      r.onblocked = () => reject(new Error("blocked"));
    });
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  const decode = (v, seen = new Map()) => {
    if (v === null || typeof v !== "object") return v;
    if ("ref" in v) return seen.get(v.ref);
    if ("v" in v) return WORDS[v.v];
    if ("bi" in v) return BigInt(v.bi);
    if ("d" in v) return new Date(v.d);
    if ("r" in v) return new RegExp(v.r.p, v.r.f);
    if ("e" in v) return Object.assign(new Error(v.e.m), { name: v.e.n, stack: v.e.s });
    if ("ab" in v) return bytes(v.ab.b).buffer;
    if ("ta" in v) return new ARRAYS[v.ta.k](bytes(v.ta.b).buffer);
    const made = "a" in v ? [] : "m" in v ? new Map() : "s" in v ? new Set() : {};
    seen.set(v.id, made);
    if ("a" in v) for (const item of v.a) made.push(decode(item, seen));
    else if ("m" in v) for (const e of v.m) made.set(decode(e.k, seen), decode(e.v, seen));
    else if ("s" in v) for (const item of v.s) made.add(decode(item, seen));
    // `__proto__` is a name like any other here.
    else
      for (const { k, v: item } of v.o)
        Object.defineProperty(made, k, {
          value: decode(item, seen),
          configurable: true,
          enumerable: true,
          writable: true,
        });
    return made;
  };
  const get = (record, name) =>
    `${name}Encoded` in record ? decode(record[`${name}Encoded`]) : record[name];
  const path = (p) => p.keyPathArray ?? p.keyPath ?? null;

  const writeDatabase = async ({ name, version, stores }) => {
    const opening = indexedDB.open(name, version);
    opening.onupgradeneeded = () => {
      for (const store of stores) {
        const options = { keyPath: path(store), autoIncrement: store.autoIncrement };
        const made = opening.result.createObjectStore(store.name, options);
        for (const { name: index, multiEntry, unique, ...keyPath } of store.indexes)
          made.createIndex(index, path(keyPath), { multiEntry, unique });
      }
    };
    const database = await request(opening);
    try {
      const filled = stores.filter((store) => store.records.length > 0);
      if (filled.length === 0) return;
      const names = filled.map((store) => store.name);
      const transaction = database.transaction(names, "readwrite");
      const done = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onerror = () => reject(transaction.error);
        transaction.onabort = () => reject(transaction.error);
      });
      for (const { name: store, keyPath, keyPathArray, records } of filled)
        for (const record of records) {
          const inline = keyPath !== undefined || keyPathArray !== undefined;
          const key = inline ? [] : [get(record, "key")];
          transaction.objectStore(store).put(get(record, "value"), ...key);
        }
      await done;
    } finally {
      database.close();
    }
  };

  localStorage.clear();
  for (const [name, value] of local) localStorage.setItem(name, value);
  if (session) {
    sessionStorage.clear();
    for (const [name, value] of session) sessionStorage.setItem(name, value);
  }
  for (const { name } of await indexedDB.databases()) await request(indexedDB.deleteDatabase(name));
  for (const database of databases) await writeDatabase(database);
  return true;
};
