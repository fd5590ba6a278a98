"""Who uses which ModelCache: an index kept while services come and go, so that nobody has to search for it."""

from collections import defaultdict

from embedding_operator.kube.resources import ObjectKey


class CacheUsers:
    """Services and the caches that they ask for or still serve from. Keys in, keys out."""

    def __init__(self) -> None:
        self._caches: dict[ObjectKey, frozenset[ObjectKey]] = {}
        self._users: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)

    def update(self, service: ObjectKey, caches: frozenset[ObjectKey]) -> frozenset[ObjectKey]:
        """Say what a service uses now (nothing: it is gone). Returns the caches whose users changed."""
        before = self._caches.get(service, frozenset())
        for cache in before - caches:
            self._users[cache].discard(service)
            if not self._users[cache]:
                del self._users[cache]
        for cache in caches - before:
            self._users[cache].add(service)
        if caches:
            self._caches[service] = caches
        else:
            self._caches.pop(service, None)
        return before ^ caches

    def add(self, service: ObjectKey, cache: ObjectKey) -> bool:
        """Say that a service uses this one too. Returns whether that is new."""
        before = self._caches.get(service, frozenset())
        if cache in before:
            return False
        self._caches[service] = before | {cache}
        self._users[cache].add(service)
        return True

    def of(self, cache: ObjectKey) -> list[ObjectKey]:
        """The services that use a cache, by name."""
        return sorted(self._users.get(cache, ()))

    def caches_of(self, service: ObjectKey) -> frozenset[ObjectKey]:
        """The caches that a service uses."""
        return self._caches.get(service, frozenset())
