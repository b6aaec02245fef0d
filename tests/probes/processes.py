"""Downloads in a pool of processes of each kind; prints how many fetched the greeting."""

import multiprocessing
import urllib.request


def fetch(number):
    with urllib.request.urlopen(f"http://n{number}.wild.test/") as reply:
        return reply.read() == b"hello from the world\n"


if __name__ == "__main__":
    for kind in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(kind).Pool(2) as pool:
            print(kind, sum(pool.map(fetch, range(4))))
