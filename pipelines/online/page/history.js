// Pictures kept in this browser: IndexedDB, bounded, oldest out first. Without it they last as long as the page.

export const LIMIT = 200;
const STORE = "pictures";
let database = null;

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** True where pictures will survive a reload. */
export async function open() {
  try {
    const request = indexedDB.open("imagegen", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
    database = await settled(request);
    database.onversionchange = () => database.close();
    return true;
  } catch {
    return false;
  }
}

function store(mode) {
  return database.transaction(STORE, mode).objectStore(STORE);
}

/** All pictures, oldest first. */
export async function all() {
  return database ? settled(store("readonly").getAll()) : [];
}

/** Gives the picture its `id`; the ids of pictures that had to go are returned. */
export async function add(picture) {
  if (!database) return [];
  const pictures = store("readwrite"); // one transaction: another tab cannot slip in between
  picture.id = await settled(pictures.add(picture));
  const ids = await settled(pictures.getAllKeys());
  const gone = ids.slice(0, Math.max(0, ids.length - LIMIT));
  await Promise.all(gone.map((id) => settled(pictures.delete(id))));
  return gone;
}

export async function remove(id) {
  if (database && id !== undefined) await settled(store("readwrite").delete(id));
}

export async function clear() {
  if (database) await settled(store("readwrite").clear());
}
