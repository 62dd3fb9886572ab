// Keeps the page's files, so that it works without a network after the first visit.
// The build writes the two lines below: the files, and a name that changes with any of them.
const FILES = [];
const CACHE = "ekg";

self.addEventListener("install", (event) => {
  const keep = async () => (await caches.open(CACHE)).addAll(FILES);
  event.waitUntil(keep().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    for (const name of await caches.keys())
      if (name.startsWith("ekg-") && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

self.addEventListener("fetch", (event) => {
  const answer = async () =>
    (await caches.match(event.request, { cacheName: CACHE, ignoreSearch: true })) ?? fetch(event.request);
  event.respondWith(answer());
});
